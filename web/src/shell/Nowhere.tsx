// SPDX-License-Identifier: Apache-2.0
import { Button } from "@mantine/core";
import { Link, useRouteError } from "react-router";
import { Page } from "../parts/Page";
import { Empty, FaultView } from "../parts/Told";

export function Nowhere() {
  return (
    <Page title="Nowhere">
      <Empty
        title="There is no such page"
        action={
          <Button component={Link} to="/" variant="default" size="xs" mt="xs">
            All workspaces
          </Button>
        }
      >
        The address is not one of the console's. Ctrl K (⌘ K) finds every object by its name.
      </Empty>
    </Page>
  );
}

/** What is shown when a page fails: most often a part of the app that an update of the server removed. */
export function Crash() {
  const error = useRouteError();
  return (
    <Page title="An error">
      <FaultView error={error} retry={() => window.location.reload()} />
    </Page>
  );
}
