// SPDX-License-Identifier: Apache-2.0

/** What the server lets <style> elements of this document carry; see internal/console/app.go. */
export const nonce = document.querySelector<HTMLMetaElement>('meta[name="nonce"]')?.content ?? "";
