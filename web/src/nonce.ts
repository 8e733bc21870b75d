// SPDX-License-Identifier: Apache-2.0

/** What the server lets <style> elements of this document carry; see internal/console/app.go. */
export const nonce = document.querySelector<HTMLMetaElement>('meta[name="nonce"]')?.content ?? "";

// Where the library that keeps the page still behind a dialog looks for it.
(globalThis as { __webpack_nonce__?: string }).__webpack_nonce__ = nonce;
