// SPDX-License-Identifier: Apache-2.0
import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { post, useRights, v1 } from "../api/client";
import { useLive } from "../api/live";
import type { Right } from "../api/kinds";

const folders: Record<string, { path: string; right: Right }> = {
  Dataset: { path: "datasets", right: "retryDataset" },
  Model: { path: "models", right: "retryModel" },
  Report: { path: "reports", right: "retryReport" },
};

/** Tries again what failed; missing for who may not. */
export function Retry({ kind, name }: { kind: string; name: string }) {
  const { workspace } = useLive();
  const may = useRights(workspace);
  const folder = folders[kind];
  const again = useMutation({
    mutationFn: () => post(v1(workspace, `${folder?.path}/${encodeURIComponent(name)}/retry`)),
    onSuccess: () => notifications.show({ message: `${kind} ${name} will be tried again` }),
    onError: (e) => notifications.show({ color: "red", title: "Not tried again", message: e.message }),
  });
  if (!folder || !may[folder.right]) return null;
  return (
    <Button size="xs" variant="default" loading={again.isPending} onClick={() => again.mutate()}>
      Try again
    </Button>
  );
}
