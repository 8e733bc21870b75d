// SPDX-License-Identifier: Apache-2.0

package main

import "context"

// check evaluates all checks. Failed ones stop the dataset.
func (in *ingestion) check(ctx context.Context) error {
	x := expectations{engine: in.engine, checks: in.p.Checks, files: in.files, secret: in.report.Identified, mend: "the files"}
	results, err := x.evaluate(ctx)
	if err != nil {
		return err
	}
	in.report.Checks = append(in.report.Checks, results...)
	if err = x.failed(results); err == nil {
		return nil
	}
	if reported := in.step.report(in.report); reported != nil {
		return reported
	}
	return err
}
