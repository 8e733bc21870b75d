// SPDX-License-Identifier: Apache-2.0
import { createBrowserRouter, Navigate } from "react-router";
import { Loading } from "./parts/Told";
import { Home } from "./shell/Home";
import { Crash, Nowhere } from "./shell/Nowhere";
import { Shell } from "./shell/Shell";

// Each page is a file of its own, loaded when it is first looked at. `fathom open PATH` and objects' status name these addresses.
export const router = createBrowserRouter(
  [
    {
      path: "/",
      errorElement: <Crash />,
      hydrateFallbackElement: <Loading what="Opening" />,
      children: [
        { index: true, element: <Home /> },
        {
          path: "workspaces/:workspace",
          element: <Shell />,
          children: [
            {
              errorElement: <Crash />,
              children: [
                { index: true, element: <Navigate to="graph" replace /> },
                { path: "graph", lazy: () => import("./graph/GraphPage") },
                { path: "objects", lazy: () => import("./shell/ObjectsPage") },
                { path: "sql", lazy: () => import("./dataset/SqlPage") },
                { path: "datasets/:name/:tab?", lazy: () => import("./dataset/DatasetPage") },
                { path: "runs", lazy: () => import("./run/RunsPage") },
                { path: "runs/:name", lazy: () => import("./run/RunPage") },
                { path: "*", element: <Nowhere /> },
              ],
            },
          ],
        },
        { path: "*", element: <Nowhere /> },
      ],
    },
  ],
  { basename: "/ui" },
);
