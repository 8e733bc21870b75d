# SPDX-License-Identifier: Apache-2.0
#
#   make demo          set up, build, and run the Parkinson's study end to end; ONCE=1 ends by itself;
#                      ISOLATION=process runs pods as plain processes, as is done anyway without root
#   make test          set up, build, and run every check
#   make verify        regenerate what is generated and fail on a difference
#   make lint          format, vet, staticcheck
#   make setup         Debian packages for tests of pages and crashes, when root; everything else needs no installation
#   make dist          one file to download, dist/fathom, with everything inside
#   make pictures      the pictures of README.md, from the demo that runs
#   make bench         figures beside their floors and peers
SHELL := /bin/bash
ROOT := $(CURDIR)
TOOLS := $(ROOT)/.tools
BIN := $(ROOT)/bin
KUBE := k8s.io/component-base/version
VERSION ?= $(shell git describe --tags --match 'v*' 2>/dev/null || echo v0.1.0-dev)
LDFLAGS := -s -w -X main.version=$(VERSION) -X $(KUBE).gitVersion=v1.36.3 -X $(KUBE).gitMajor=1 -X $(KUBE).gitMinor=36
ONNXRUNTIME_NPM := onnxruntime-node@1.30.0
UV := uv==0.13.9
PROTOC := grpcio-tools==1.85.1
PACKAGES := chromium strace

.DELETE_ON_ERROR:
.PHONY: build web dist demo pictures test verify generate lint bench clean setup judges judges-heavy judges-lock

build: $(BIN)/libonnxruntime.so.1 web
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/fathom ./cmd/fathom-server ./cmd/fathom-step
	CGO_ENABLED=0 go build -ldflags '-s -w' -o $(BIN)/ ./cmd/fathom-launch ./cmd/fathom-keep
	go build -ldflags '-s -w' -o $(BIN)/ github.com/opencontainers/runc
	@chmod -R a+rX $(BIN)

# The console's app, which fathom-server carries. No script of a package runs. Without npm the server says that it has no console.
WEB := $(shell git ls-files -co --exclude-standard web 2>/dev/null | grep -v '\.go$$' | tr '\n' ' ')
web: web/dist/index.html

web/node_modules/.done: web/package-lock.json
	@if command -v npm >/dev/null; then cd web && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.done; fi

web/dist/index.html: web/node_modules/.done $(wildcard $(WEB))
	@if command -v npm >/dev/null; then cd web && npx --no-install vite build --logLevel warn; \
	else echo 'make web: npm is missing (Node 20 or later): the server is built without the console'; fi

# The ONNX Runtime library comes inside an npm package; no script of it is run.
$(BIN)/libonnxruntime.so.1:
	mkdir -p $(BIN) $(TOOLS)/npm
	cd $(TOOLS)/npm && npm pack --silent $(ONNXRUNTIME_NPM) && tar -xzf onnxruntime-node-*.tgz && rm onnxruntime-node-*.tgz
	cp $(TOOLS)/npm/package/bin/napi-v*/linux/$$(node -p process.arch)/libonnxruntime.so.1 $@

# The one file to download: `fathom` with the other programs behind it, which it unpacks into the state directory.
dist: build
	mkdir -p $(ROOT)/dist
	go run ./hack/dist $(BIN)/fathom $(ROOT)/dist/fathom $(addprefix $(BIN)/,fathom-server fathom-step fathom-launch runc libonnxruntime.so.1)
	@ls -lh $(ROOT)/dist/fathom

# What is generated from the kinds and from the command line's own help.
GENERATED := api/v1alpha1/zz_generated.deepcopy.go api/crds docs/reference.md docs/cli docs/security.md docs/man internal/oip/oippb/inference.pb.go

generate: build $(TOOLS)/bin/controller-gen $(TOOLS)/bin/protoc-gen-go $(TOOLS)/protoc/.done
	$(TOOLS)/protoc/bin/python -m grpc_tools.protoc -Iinternal/oip/oippb --plugin=protoc-gen-go=$(TOOLS)/bin/protoc-gen-go \
		--go_out=internal/oip/oippb --go_opt=paths=source_relative inference.proto
	$(TOOLS)/bin/controller-gen object:headerFile=hack/license.go.txt paths=./api/...
	$(TOOLS)/bin/controller-gen crd:allowDangerousTypes=true,maxDescLen=200 paths=./api/... output:crd:dir=./api/crds
	$(TOOLS)/bin/controller-gen crd:allowDangerousTypes=true paths=./api/... output:crd:dir=$(TOOLS)/crds
	go run ./hack/reference $(TOOLS)/crds > $(TOOLS)/reference.md && mv $(TOOLS)/reference.md docs/reference.md
	go run ./hack/cli $(BIN)/fathom docs/cli docs/man
	go run ./hack/roles internal/operator/rbac.yaml docs/security.md

verify: generate
	@git diff --exit-code -- $(GENERATED) || { echo 'make verify: commit what make generate changed'; exit 1; }
	@new=$$(git ls-files --others --exclude-standard -- $(GENERATED)); test -z "$$new" || { echo "make verify: not committed: $$new"; exit 1; }

lint: $(TOOLS)/bin/staticcheck web/node_modules/.done
	@wrong=$$(git ls-files -co --exclude-standard '*.go' | xargs -r ls 2>/dev/null | xargs -r gofmt -l); test -z "$$wrong" || { echo "not formatted: $$wrong"; exit 1; }
	go vet ./...
	$(TOOLS)/bin/staticcheck ./...
	@if command -v npm >/dev/null; then cd web && npm run --silent check; else echo 'lint: npm is missing: the console is not checked'; fi

# The study, from an empty state directory. What was built or downloaded before is used again.
STATE ?= $(ROOT)/.state/demo
demo: build $(TOOLS)/uv/bin/uv
	go run ./examples/parkinsons/generate -out $(ROOT)/.state/demo-data
	BIN=$(BIN) STATE=$(STATE) DATA=$(ROOT)/.state/demo-data ONCE=$(ONCE) \
		PATH=$(TOOLS)/bin:$$PATH FATHOM_UV_CACHE=$(TOOLS)/uv-cache examples/parkinsons/demo.sh

# The pictures of README.md, from a Fathom that runs on $(STATE) and has made the study (make demo).
pictures: build web/node_modules/.done
	FATHOM_STATE=$(STATE) node examples/parkinsons/pictures.mjs $(BIN) $(ROOT)/docs/images

# Figures beside their floors and peers; BENCH='-row step -rounds 9' measures less or longer, see docs/benchmarks.md.
bench: build $(TOOLS)/uv/bin/uv
	PATH=$(TOOLS)/bin:$$PATH go run ./bench -bin $(BIN) -tools $(TOOLS)/bench $(BENCH)

# Everything. Tests that were skipped are listed with their reason at the end.
test: setup build judges verify lint $(TOOLS)/bin/gotestsum
	@if command -v npm >/dev/null; then cd web && npm run --silent test; else echo 'test: npm is missing: the console is not tested'; fi
	PATH=$(TOOLS)/bin:$$PATH FATHOM_PYTHON=$(TOOLS)/judges/bin/python FATHOM_ONNXRUNTIME=$(BIN)/libonnxruntime.so.1 FATHOM_RUNC=$(BIN)/runc \
		$(TOOLS)/bin/gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg -- -p 2 -timeout 20m ./...

$(addprefix $(TOOLS)/bin/,controller-gen protoc-gen-go staticcheck gotestsum) &: tools/go.mod
	mkdir -p $(TOOLS)/bin
	go -C tools build -o $(TOOLS)/bin/ sigs.k8s.io/controller-tools/cmd/controller-gen google.golang.org/protobuf/cmd/protoc-gen-go honnef.co/go/tools/cmd/staticcheck gotest.tools/gotestsum
	touch $(addprefix $(TOOLS)/bin/,controller-gen protoc-gen-go staticcheck gotestsum)

# Other people's clients, which judge the doors and the numbers; pinned in tools/judges.txt and tools/go.mod.
judges: $(TOOLS)/judges/.done $(TOOLS)/mlflow/.done $(TOOLS)/bin/crane $(TOOLS)/bin/oci-conformance
	go build -ldflags '$(LDFLAGS)' -o $(TOOLS)/bin/ k8s.io/kubernetes/cmd/kubectl

$(TOOLS)/judges/.done: tools/judges.txt $(TOOLS)/uv/bin/uv
	$(TOOLS)/uv/bin/uv venv --quiet --clear --python python3 $(TOOLS)/judges
	UV_PYTHON_DOWNLOADS=never $(TOOLS)/uv/bin/uv pip install --quiet --only-binary :all: --python $(TOOLS)/judges/bin/python -r tools/judges.txt
	touch $@

$(TOOLS)/bin/crane: tools/go.mod
	mkdir -p $(TOOLS)/bin
	go -C tools build -o $@ github.com/google/go-containerregistry/cmd/crane
	touch $@

# The specification's own judge has no release of its own: it is built from a commit. Not every module proxy has it.
OCI_CONFORMANCE := github.com/opencontainers/distribution-spec/conformance@967efdc079b9
$(TOOLS)/bin/oci-conformance:
	mkdir -p $(TOOLS)/conformance
	@GOBIN=$(TOOLS)/conformance go install $(OCI_CONFORMANCE) && mv $(TOOLS)/conformance/conformance $@ \
		|| echo 'judges: $(OCI_CONFORMANCE) cannot be had here; its test is skipped'

# The whole of MLflow beside the door that speaks its protocol, with frameworks that log to it; the heavy ones are optional: 5 GB.
$(TOOLS)/mlflow/.done $(TOOLS)/heavy/.done: $(TOOLS)/%/.done: tools/judges-%.txt $(TOOLS)/uv/bin/uv
	$(TOOLS)/uv/bin/uv venv --quiet --clear --python python3 $(@D)
	UV_PYTHON_DOWNLOADS=never $(TOOLS)/uv/bin/uv pip install --quiet --only-binary :all: --python $(@D)/bin/python -r $<
	touch $@

judges-heavy: $(TOOLS)/heavy/.done

judges-lock: $(TOOLS)/uv/bin/uv
	for name in judges judges-mlflow judges-heavy; do \
		$(TOOLS)/uv/bin/uv pip compile --quiet --upgrade --no-annotate --no-header --python-version 3.11 tools/$$name.in -o tools/$$name.txt || exit 1; done

# The compiler of inference.proto, out of a Python package that carries it.
$(TOOLS)/protoc/.done: $(TOOLS)/uv/bin/uv
	$(TOOLS)/uv/bin/uv venv --quiet --clear --python python3 $(TOOLS)/protoc
	UV_PYTHON_DOWNLOADS=never $(TOOLS)/uv/bin/uv pip install --quiet --only-binary :all: --python $(TOOLS)/protoc/bin/python $(PROTOC)
	touch $@

$(TOOLS)/uv/bin/uv:
	python3 -m venv $(TOOLS)/uv
	$(TOOLS)/uv/bin/pip install --quiet --disable-pip-version-check $(UV)
	mkdir -p $(TOOLS)/bin && ln -sf ../uv/bin/uv $(TOOLS)/bin/uv

# Pages are looked at with Chromium, stores are killed with strace. Without root, or without apt, the tests that need it are skipped and say so.
setup:
	@if command -v chromium >/dev/null && command -v strace >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null; } \
			|| echo 'setup: $(PACKAGES) could not be installed; tests of pages and of crashes are skipped'; \
	else echo 'setup: not root: install $(PACKAGES) for the tests of pages and of crashes'; fi
