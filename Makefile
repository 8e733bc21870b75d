# SPDX-License-Identifier: Apache-2.0
#
#   make demo          set up, build, and run the Parkinson's study end to end; ONCE=1 ends by itself
#   make test          set up, build, and run every check
#   make verify        regenerate what is generated and fail on a difference
#   make bench         figures beside their floors and peers
SHELL := /bin/bash
ROOT := $(CURDIR)
TOOLS := $(ROOT)/.tools
BIN := $(ROOT)/bin
KUBE := k8s.io/component-base/version
LDFLAGS := -s -w -X $(KUBE).gitVersion=v1.36.3 -X $(KUBE).gitMajor=1 -X $(KUBE).gitMinor=36
ONNXRUNTIME_NPM := onnxruntime-node@1.30.0

.PHONY: build demo test verify generate lint bench clean setup-judges

build: $(BIN)/libonnxruntime.so.1
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/fathom ./cmd/fathom-server ./cmd/fathom-step
	CGO_ENABLED=0 go build -ldflags '-s -w' -o $(BIN)/ ./cmd/fathom-launch
	go build -ldflags '-s -w' -o $(BIN)/ github.com/opencontainers/runc

# The ONNX Runtime library comes inside an npm package; no script of it is run.
$(BIN)/libonnxruntime.so.1:
	mkdir -p $(BIN) $(TOOLS)/npm
	cd $(TOOLS)/npm && npm pack --silent $(ONNXRUNTIME_NPM) && tar -xzf onnxruntime-node-*.tgz && rm onnxruntime-node-*.tgz
	cp $(TOOLS)/npm/package/bin/napi-v*/linux/$$(node -p process.arch)/libonnxruntime.so.1 $@

generate: $(TOOLS)/bin/controller-gen
	$(TOOLS)/bin/controller-gen object:headerFile=hack/license.go.txt paths=./api/...
	$(TOOLS)/bin/controller-gen crd:allowDangerousTypes=true,maxDescLen=200 paths=./api/... output:crd:dir=./api/crds

$(TOOLS)/bin/controller-gen $(TOOLS)/bin/staticcheck: tools/go.mod
	mkdir -p $(TOOLS)/bin
	go -C tools build -o $(TOOLS)/bin/ sigs.k8s.io/controller-tools/cmd/controller-gen honnef.co/go/tools/cmd/staticcheck
	touch $(TOOLS)/bin/*
