// SPDX-License-Identifier: Apache-2.0
import { createBrowserRouter, Navigate } from "react-router";
import { Loading } from "./parts/Told";
import { Home } from "./shell/Home";
import { Crash, Nowhere } from "./shell/Nowhere";
import { Shell } from "./shell/Shell";

/** Loads a page once more when its file did not come: a browser drops what it loads when the machine's network changes. */
function again<T>(load: () => Promise<T>): () => Promise<T> {
  return () => load().catch(() => new Promise<void>((done) => setTimeout(done, 400)).then(load));
}

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
                { path: "graph", lazy: again(() => import("./graph/GraphPage")) },
                { path: "objects", lazy: again(() => import("./shell/ObjectsPage")) },
                { path: "sql", lazy: again(() => import("./dataset/SqlPage")) },
                { path: "datasets/:name/:tab?", lazy: again(() => import("./dataset/DatasetPage")) },
                { path: "models/:name/:tab?", lazy: again(() => import("./model/ModelPage")) },
                { path: "endpoints/:name/:tab?", lazy: again(() => import("./endpoint/EndpointPage")) },
                { path: "reports/:name", lazy: again(() => import("./report/ReportPage")) },
                { path: "about/:tab?", lazy: again(() => import("./workspace/WorkspacePage")) },
                { path: "runs", lazy: again(() => import("./run/RunsPage")) },
                { path: "runs/:name", lazy: again(() => import("./run/RunPage")) },
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
