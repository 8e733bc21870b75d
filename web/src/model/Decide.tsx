// SPDX-License-Identifier: Apache-2.0
import { Button, Group, List, Modal, Text, Tooltip } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { post, useRights, verbs } from "../api/client";
import { ofKind, useLive } from "../api/live";
import type { Model, ModelVersion } from "../api/kinds";

const actions = {
  approve: { label: "Approve …", title: "Approve", done: "approved" },
  rollback: { label: "Roll back to it …", title: "Roll back to", done: "in production again" },
};

/** Approving a version that waits for it, or going back to one that was in production. */
export function Decide({ model, versions, version }: { model: Model; versions: ModelVersion[]; version: ModelVersion }) {
  const { workspace, objects } = useLive();
  const may = useRights(workspace);
  const [opened, { open, close }] = useDisclosure();
  const stage = version.status.stage;
  const action = stage === "AwaitingApproval" ? "approve" : stage === "Archived" ? "rollback" : undefined;
  const decision = useMutation({
    mutationFn: () =>
      post(verbs(workspace, `models/${encodeURIComponent(model.metadata.name)}/promotion`), {
        action,
        version: version.spec.number,
      }),
    onSuccess: () => {
      close();
      notifications.show({
        message: `Version ${version.spec.number} of ${model.metadata.name} is ${action && actions[action].done}`,
      });
    },
  });
  if (!action) return null;
  const words = actions[action];
  const role = model.spec.promote?.approval?.role;
  const admin = action === "approve" && role === "admin";
  const reason = !may.decide
    ? "Only members with the role approver or admin may decide about promotion."
    : admin && !may.decideAsAdmin
      ? "This model's spec.promote.approval asks for an admin."
      : undefined;
  const number = version.spec.number;
  const current = versions.find((v) => v.status.stage === "Production");
  const following = ofKind(objects, "Endpoint").filter((e) => e.spec.model === model.metadata.name && !e.spec.version);
  const button = (
    <Button size="xs" disabled={!!reason} onClick={open} variant={action === "approve" ? "filled" : "default"}>
      {words.label}
    </Button>
  );
  return (
    <Group mt={4} gap="sm">
      {reason ? (
        <>
          <Tooltip label={reason} multiline maw={300}>
            <span>{button}</span>
          </Tooltip>
          <Text size="xs" className="quiet" style={{ flex: 1, minWidth: 180 }}>
            {reason}
          </Text>
        </>
      ) : (
        button
      )}
      <Modal
        opened={opened}
        onClose={close}
        title={<b>{`${words.title} version ${number}?`}</b>}
        centered
        closeButtonProps={{ "aria-label": "Close" }}
        attributes={{ header: { role: "none" } }}
      >
        <Text size="sm">What happens then:</Text>
        <List size="sm" my="xs" spacing={4}>
          <List.Item>
            Version {number} goes into production
            {current ? ` in place of version ${current.spec.number}, which is archived and can be rolled back to` : ""}.
          </List.Item>
          <List.Item>
            {following.length
              ? `${following.map((e) => `Endpoint ${e.metadata.name}`).join(", ")} ${following.length === 1 ? "switches" : "switch"} to it; no request fails on the way.`
              : "No endpoint follows this model now."}
          </List.Item>
          <List.Item>Your name stands beside the decision, here and in the audit log.</List.Item>
          {action === "rollback" && (
            <List.Item>A newer version that keeps the rules replaces it again, as soon as there is one.</List.Item>
          )}
        </List>
        {decision.error && (
          <Text size="sm" c="var(--failed)" role="alert" mb="xs">
            {decision.error.message}
          </Text>
        )}
        <Group justify="flex-end" gap="xs">
          <Button size="sm" variant="default" onClick={close} data-autofocus>
            Cancel
          </Button>
          <Button size="sm" loading={decision.isPending} onClick={() => decision.mutate()}>
            {words.title} version {number}
          </Button>
        </Group>
      </Modal>
    </Group>
  );
}
