// SPDX-License-Identifier: Apache-2.0
import {
  ActionIcon,
  AppShell,
  Box,
  Burger,
  Group,
  Kbd,
  Menu,
  NavLink,
  ScrollArea,
  Select,
  Text,
  Tooltip,
  UnstyledButton,
  useComputedColorScheme,
  useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure, useHotkeys } from "@mantine/hooks";
import {
  IconAffiliate,
  IconListDetails,
  IconMoon,
  IconPlayerPlay,
  IconSearch,
  IconSql,
  IconSun,
  IconUserCircle,
  IconUsersGroup,
} from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useMemo, useState } from "react";
import { Link, Outlet, useLocation, useNavigate, useParams } from "react-router";
import { Fault, queries } from "../api/client";
import { Live, LiveContext, ofKind, useLive } from "../api/live";
import type { Kind } from "../api/kinds";
import { stateOf } from "../graph/state";
import { KindIcon } from "../parts/State";
import { Page } from "../parts/Page";
import { FaultView, Loading } from "../parts/Told";
import { pathOf, sections } from "./places";

const Palette = lazy(() => import("./Palette"));

/** Everything within a workspace: its stream of changes, navigation, and the page. */
export function Shell() {
  const { workspace = "" } = useParams();
  const live = useMemo(() => new Live(workspace), [workspace]);
  useEffect(() => {
    live.open();
    return () => live.close();
  }, [live]);
  return (
    <LiveContext.Provider value={live}>
      <Frame />
    </LiveContext.Provider>
  );
}

function Frame() {
  const [menu, { toggle, close }] = useDisclosure();
  const { pathname } = useLocation();
  const { workspace, connection } = useLive();
  const navigate = useNavigate();
  const [palette, setPalette] = useState(false);
  const me = useQuery(queries.me());
  // biome-ignore lint/correctness/useExhaustiveDependencies: a page that was chosen closes the menu
  useEffect(close, [pathname]);
  useHotkeys([
    ["mod+K", () => setPalette(true)],
    ["/", () => setPalette(true)],
    ["g", () => navigate(`/workspaces/${workspace}/graph`)],
    ["o", () => navigate(`/workspaces/${workspace}/objects`)],
    ["r", () => navigate(`/workspaces/${workspace}/runs`)],
    ["s", () => navigate(`/workspaces/${workspace}/sql`)],
    ["w", () => navigate(`/workspaces/${workspace}/about`)],
  ]);
  // A stream that does not come back may be one of a session that ended: then the answer to this says so.
  const { refetch } = me;
  useEffect(() => {
    if (connection === "lost") void refetch();
  }, [connection, refetch]);
  const loggedOut = me.error instanceof Fault && me.error.status === 401;
  const known = me.data?.workspaces.find((w) => w.name === workspace);
  return (
    <AppShell header={{ height: 52 }} navbar={{ width: 236, breakpoint: "sm", collapsed: { mobile: !menu } }} padding={0}>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <AppShell.Header style={{ background: "var(--surface)", borderColor: "var(--line)" }}>
        <Group h="100%" px="sm" justify="space-between" wrap="nowrap" gap="xs">
          <Group gap="xs" wrap="nowrap" miw={0}>
            <Burger opened={menu} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Navigation" />
            <Link to="/" aria-label="Fathom: all workspaces" style={{ display: "flex" }}>
              <img src="/ui/assets/icon.svg" width={26} height={26} alt="" />
            </Link>
            <Workspaces />
          </Group>
          <Group gap={6} wrap="nowrap">
            <UnstyledButton
              onClick={() => setPalette(true)}
              visibleFrom="sm"
              style={{ border: "1px solid var(--line)", borderRadius: 8, padding: "3px 10px", minWidth: 230 }}
            >
              <Group justify="space-between" gap="xs">
                <Text size="sm" className="quiet">
                  Search
                </Text>
                <Kbd size="xs">Ctrl K</Kbd>
              </Group>
            </UnstyledButton>
            <ActionIcon
              variant="subtle"
              color="gray"
              hiddenFrom="sm"
              onClick={() => setPalette(true)}
              aria-label="Search everything"
            >
              <IconSearch size={18} />
            </ActionIcon>
            <Connection state={connection} />
            <Scheme />
            <Menu position="bottom-end">
              <Menu.Target>
                <ActionIcon variant="subtle" color="gray" aria-label="Who you are">
                  <IconUserCircle size={20} />
                </ActionIcon>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Label>
                  {me.data?.user ?? "…"}
                  <br />
                  {me.data?.groups?.filter((g) => !g.startsWith("system:")).join(", ")}
                </Menu.Label>
              </Menu.Dropdown>
            </Menu>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar style={{ background: "var(--surface)", borderColor: "var(--line)" }} aria-label="Workspace">
        <Navigation />
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1} style={{ outline: "none" }}>
        {loggedOut ? (
          <Page title={workspace}>
            <FaultView error={me.error} retry={() => window.location.reload()} />
          </Page>
        ) : me.data && !known ? (
          <Page title={workspace}>
            <FaultView error={new Error(`There is no workspace ${workspace}. \`kubectl get workspaces\` lists them.`)} />
          </Page>
        ) : known && !known.member ? (
          <Page title={workspace}>
            <FaultView
              error={
                new Error(
                  `You are no member of workspace ${workspace}: an owner adds you, or a group of yours, to its spec.members.`,
                )
              }
            />
          </Page>
        ) : me.error ? (
          <Page title={workspace}>
            <FaultView error={me.error} retry={() => me.refetch()} />
          </Page>
        ) : connection === "connecting" ? (
          <Loading what={`Opening workspace ${workspace}`} />
        ) : (
          <Suspense fallback={<Loading what="Opening the page" />}>
            <Outlet />
          </Suspense>
        )}
      </AppShell.Main>
      {palette && (
        <Suspense>
          <Palette close={() => setPalette(false)} />
        </Suspense>
      )}
    </AppShell>
  );
}

function Workspaces() {
  const { workspace } = useLive();
  const navigate = useNavigate();
  const me = useQuery(queries.me());
  const names = me.data?.workspaces.filter((w) => w.member).map((w) => w.name) ?? [workspace];
  return (
    <Select
      aria-label="Workspace"
      data={names.includes(workspace) ? names : [workspace, ...names]}
      value={workspace}
      onChange={(name) => name && navigate(`/workspaces/${name}/graph`)}
      allowDeselect={false}
      size="xs"
      w={160}
      comboboxProps={{ shadow: "md" }}
      searchable={names.length > 8}
    />
  );
}

function Connection({ state }: { state: "connecting" | "live" | "lost" }) {
  const [color, label] =
    state === "live"
      ? ["var(--ready)", "Live: changes show at once"]
      : state === "lost"
        ? ["var(--failed)", "The connection was lost; what is shown may be old. It is tried again."]
        : ["var(--stale)", "Connecting"];
  return (
    <Tooltip label={label}>
      <Box
        role="status"
        aria-label={label}
        style={{ width: 9, height: 9, borderRadius: 9, background: color, margin: "0 6px", flex: "none" }}
      />
    </Tooltip>
  );
}

function Scheme() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme("light", { getInitialValueInEffect: false });
  const dark = scheme === "dark";
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      onClick={() => setColorScheme(dark ? "light" : "dark")}
      aria-label={dark ? "Light colours" : "Dark colours"}
    >
      {dark ? <IconSun size={18} /> : <IconMoon size={18} />}
    </ActionIcon>
  );
}

const general = [
  { path: "graph", title: "Graph", icon: IconAffiliate },
  { path: "objects", title: "All objects", icon: IconListDetails },
  { path: "runs", title: "Runs", icon: IconPlayerPlay },
  { path: "sql", title: "SQL", icon: IconSql },
  { path: "about", title: "Workspace", icon: IconUsersGroup },
];

/** More objects of a kind than this are found by the list of all objects and by search. */
const listed = 60;

function Navigation() {
  const { workspace, objects } = useLive();
  const { pathname } = useLocation();
  const base = `/workspaces/${workspace}`;
  return (
    <ScrollArea h="100%" type="auto" viewportProps={{ tabIndex: 0, role: "region", "aria-label": "Objects" }}>
      <Box py="xs">
        {general.map((p) => (
          <NavLink
            key={p.path}
            component={Link}
            to={`${base}/${p.path}`}
            label={p.title}
            leftSection={<p.icon size={17} stroke={1.8} aria-hidden />}
            active={pathname === `${base}/${p.path}`}
            py={5}
          />
        ))}
        {sections.map((section) => {
          const all = ofKind(objects, section.kind as Kind).sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
          if (all.length === 0) return null;
          return (
            <Box key={section.kind} mt="sm">
              <Text size="xs" fw={600} className="quiet" px="sm" pb={2}>
                {section.title}
              </Text>
              {all.slice(0, listed).map((o) => {
                const path = pathOf(workspace, o.kind, o.metadata.name);
                const { state } = stateOf(o);
                return (
                  <NavLink
                    key={o.metadata.name}
                    component={Link}
                    to={path}
                    label={o.metadata.name}
                    leftSection={<KindIcon kind={o.kind} />}
                    rightSection={
                      state === "ready" ? undefined : (
                        <Box
                          component="span"
                          title={stateOf(o).reason}
                          style={{ width: 8, height: 8, borderRadius: 8, background: `var(--${state})` }}
                        />
                      )
                    }
                    active={pathname === path || pathname.startsWith(`${path}/`)}
                    py={4}
                    noWrap
                  />
                );
              })}
              {all.length > listed && (
                <NavLink
                  component={Link}
                  to={`${base}/objects?kind=${section.kind}`}
                  label={`${all.length - listed} more`}
                  py={4}
                  className="quiet"
                />
              )}
            </Box>
          );
        })}
      </Box>
    </ScrollArea>
  );
}
