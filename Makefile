# SPDX-License-Identifier: Apache-2.0
ROOT := $(CURDIR)
TOOLS := $(ROOT)/.tools/bin

.PHONY: generate
generate: $(TOOLS)/controller-gen
	$(TOOLS)/controller-gen object:headerFile=hack/license.go.txt paths=./api/...
	$(TOOLS)/controller-gen crd:allowDangerousTypes=true,maxDescLen=200 paths=./api/... output:crd:dir=./api/crds

$(TOOLS)/controller-gen $(TOOLS)/staticcheck: tools/go.mod
	mkdir -p $(TOOLS)
	go -C tools build -o $(TOOLS)/ sigs.k8s.io/controller-tools/cmd/controller-gen honnef.co/go/tools/cmd/staticcheck
