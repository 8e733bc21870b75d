// SPDX-License-Identifier: Apache-2.0
import { Button, Text } from "@mantine/core";
import { useState } from "react";
import { plural } from "../format";
import { Card } from "../parts/Page";
import { Forest, Legend } from "../parts/Plot";
import { Empty } from "../parts/Told";
import { termOf } from "./evaluation";
import type { Looked } from "./ModelPage";

const atOnce = 25;

/** How much each feature is needed. */
export function Features({ shown }: Looked) {
  const [all, setAll] = useState(false);
  const [first] = shown;
  const importances = first.evaluation.importances;
  if (!importances?.features.length)
    return (
      <Empty title="No importances were computed">
        They need a final model that answers with numbers; the log of the evaluating run says why.
      </Empty>
    );
  const features = all ? importances.features : importances.features.slice(0, atOnce);
  const of = (s: (typeof shown)[number], feature: string) => {
    const found = s.evaluation.importances?.features.find((f) => f.feature === feature);
    return found && { value: found.drop, low: found.drop - found.sd, high: found.drop + found.sd };
  };
  return (
    <Card title="What it looks at" aside={shown.length > 1 ? <Legend of={shown} /> : undefined}>
      <Forest
        label={`Permutation importance of ${plural(features.length, "feature")}, by falling loss of ${termOf(importances.metric).label}`}
        rows={features.map((f) => ({ name: f.feature, values: shown.map((s) => of(s, f.feature)) }))}
        series={shown}
        line={0}
      />
      {importances.features.length > features.length && (
        <Button size="xs" variant="default" mt="xs" onClick={() => setAll(true)}>
          Show all {importances.features.length}
        </Button>
      )}
      <Text size="xs" className="quiet" mt="xs">
        How much the {termOf(importances.metric).label} of held-out rows gets worse when one feature's values are shuffled (mean
        of {plural(importances.repeats, "repeat")}; whiskers are one standard deviation). Near zero the model does not need the
        feature; features that tell the same share their importance.
      </Text>
    </Card>
  );
}
