// SPDX-License-Identifier: Apache-2.0
import { Box, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, Navigate } from "react-router";
import { queries } from "../api/client";
import { Answer, Empty } from "../parts/Told";

/** Which workspaces there are. With one alone, straight to it. */
export function Home() {
  const me = useQuery(queries.me());
  return (
    <Box component="main" maw={960} mx="auto" p="lg">
      <Title order={1} mb="md">
        Workspaces
      </Title>
      <Answer of={me} what="Asking which workspaces there are">
        {(data) => {
          const mine = data.workspaces.filter((w) => w.member);
          if (mine.length === 1) return <Navigate to={`/workspaces/${mine[0]!.name}/graph`} replace />;
          if (data.workspaces.length === 0) {
            return (
              <Empty title="There is no workspace yet">
                Write one as YAML (kind: Workspace, with members and a quota) and run <code>fathom apply -f FOLDER</code>.
              </Empty>
            );
          }
          return (
            <SimpleGrid cols={{ base: 1, sm: 2 }}>
              {data.workspaces.map((w) => (
                <Stack key={w.name} className="card" p="md" gap={2}>
                  {w.member ? (
                    <Link className="link" to={`/workspaces/${w.name}/graph`}>
                      <Text fw={650}>{w.name}</Text>
                    </Link>
                  ) : (
                    <Text fw={650}>{w.name}</Text>
                  )}
                  <Text size="sm" className="quiet">
                    {w.member ? w.message : "You are not a member. An owner adds you, or a group of yours, to spec.members."}
                  </Text>
                </Stack>
              ))}
            </SimpleGrid>
          );
        }}
      </Answer>
    </Box>
  );
}
