// SPDX-License-Identifier: Apache-2.0
import { Page } from "../parts/Page";
import { SqlBox } from "./SqlBox";

export function Component() {
  return (
    <Page title="SQL">
      <SqlBox />
    </Page>
  );
}
