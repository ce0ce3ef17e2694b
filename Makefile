# Drawbridge. `make help` lists what can be made.

BIN      := build/drawbridge
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
GOFLAGS  += -trimpath
TAGS     := nomsgpack
LDFLAGS  := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 30s
export GOFLAGS

.DEFAULT_GOAL := build
.PHONY: image image-quick image-test image-test-all vm-test help needs build check lint race fuzz sim e2e test bench demo lab console browser screens dissector clean

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

needs: ## install what the other targets need (Debian packages; asks for Go 1.26 if it is missing)
	@.ci/needs

build: ## the static binary, build/drawbridge
	CGO_ENABLED=0 go build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/drawbridge

lint: ## gofumpt, vet and staticcheck
	@out=$$(go tool gofumpt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not gofumpt-clean:"; echo "$$out"; exit 1; }
	go vet -tags $(TAGS) ./...
	go tool staticcheck -tags $(TAGS) ./...

check: lint ## lint, unit tests and the short simulations
	CGO_ENABLED=0 go test -tags $(TAGS) $$(go list ./... | grep -v -e /test/e2e -e /test/bench)

race: ## unit tests under the race detector (needs cgo)
	CGO_ENABLED=1 go test -race -short -tags $(TAGS) $$(go list ./... | grep -v -e /test/e2e -e /test/bench)

fuzz: ## every fuzz target for FUZZTIME (30s)
	@.ci/fuzz $(FUZZTIME)

sim: ## the long simulations: 1,000 seeds of 100 peers, millions of lease steps, 10,000 schedules of the whole failover
	DRAWBRIDGE_LONG=1 go test -count=1 -timeout 60m -v -run 'Sim|Explor|Mutat' ./mesh/topology/... ./failover/... ./test/sim/...

e2e: build ## the real binary in network namespaces (needs root); fails if anything was skipped
	@.ci/e2e

test: needs build check race e2e browser ## everything that CI runs
	@FUZZTIME=$${FUZZTIME:-3s}; .ci/fuzz $$FUZZTIME
	$(MAKE) image-quick

bench: needs build ## throughput and failover against kernel VXLAN and Debian's overlays, as ratios of one run
	@.ci/bench

demo: needs build ## the whole gateway topology in the foreground, told step by step
	$(BIN) demo

CONSOLE_AT ?= 127.0.0.1:7690
lab: needs build ## the whole gateway topology in the background: drawbridge lab status, exec, kill, cut, down
	$(BIN) lab up --console $(CONSOLE_AT)

# What the console is made of and tested with: pinned packages, of which nothing is committed.
NPM := build/npm/node_modules/.package-lock.json
.PHONY: needs-browser
needs-browser:
	@.ci/needs browser

$(NPM): web/console/package.json web/console/package-lock.json | needs-browser
	mkdir -p build/npm && cp web/console/package.json web/console/package-lock.json build/npm/
	cd build/npm && npm ci --ignore-scripts --no-audit --no-fund

console: $(NPM) ## rebuild web/console/dist from its sources, which is committed (needs npm once)
	go run ./web/console/build
	build/npm/node_modules/.bin/tsc -p web/console

browser: needs-browser $(NPM) ## the console in real Chromium: every screen, both themes; that dist is what its sources make
	@.ci/browser

SCREENS_AT := 127.0.0.1:7690
screens: needs-browser build ## pictures of every screen of a lab, into docs/screens (needs root and Chromium)
	$(BIN) lab up --name screens --console $(SCREENS_AT)
	status=0; test/browser/scene $(abspath $(BIN)) screens || status=$$?; test $$status -ne 0 || \
	DRAWBRIDGE_CONSOLE=$$($(BIN) lab status --name screens | sed -n 's/^console of a: //p') CHROMIUM=$${CHROMIUM:-chromium} \
	go test -count=1 ./test/browser -run Screenshots -screens $(CURDIR)/docs/screens || status=$$?; \
	$(BIN) lab down --name screens; exit $$status

dissector: ## the Wireshark dissector in tshark, on what the encoders write (installs tshark)
	@command -v tshark >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tshark >/dev/null; }
	go test -count=1 ./test/dissect

deb: build ## the Debian package, in build/deb
	systemd/debian/build $(BIN) $$(images/version $(VERSION)) build/deb

image: build ## the appliance: raw disk, qcow2, update bundle and SBOM in build/image (needs root; KEY=minisign key, VARIANT=virt or hw)
	images/build $(BIN) $$(images/version $(VERSION)) build/image

build/image/drawbridge-virt.bundle:
	$(MAKE) image VARIANT=virt

build/image/drawbridge-hw.bundle: build/image/drawbridge-virt.bundle
	KEY=$${KEY:-build/image/test.key} $(MAKE) image VARIANT=hw

build/image/next.bundle: build/image/drawbridge-virt.bundle
	images/next $< $${KEY:-build/image/test.key} $@

build/image/broken.bundle: build/image/drawbridge-virt.bundle
	images/next $< $${KEY:-build/image/test.key} $@ broken

vm-test: build ## the kernel engine and WireGuard below it, under Debian 12's 6.1 kernel in QEMU
	rm -rf build/vm/tests && mkdir -p build/vm/tests && cp $(BIN) build/vm/tests/drawbridge && cp test/vm/two.toml build/vm/tests
	CGO_ENABLED=0 go test -c -o build/vm/tests/kernel.test ./forwarder/kernel
	CGO_ENABLED=0 go test -tags wireguard -c -o build/vm/tests/wireguard.test ./forwarder/wireguard
	CGO_ENABLED=0 go test -tags wireguard,nomsgpack -c -o build/vm/tests/vm.test ./test/vm
	MEMORY=1536 test/vm/boot build/vm/tests './kernel.test -test.skip "TestObjectIsOfTheSources|TestUnitBindsTheFolder"' './wireguard.test' \
		'DRAWBRIDGE_BIN=/tests/drawbridge DRAWBRIDGE_LAB_SLOWNESS=10 ./vm.test -test.v'

# A fast compression, as nothing is kept: what a release weighs image-test looks at. The root of Debian serves package and image.
QUICK := LEVEL=3 ZSTD=3 BASE=$(CURDIR)/build/debian.tar
image-quick: build ## build image and package, start the image once, update it once, install and remove the package: within 15 minutes
	@.ci/needs image
	$(QUICK) $(MAKE) image
	rm -f build/image/next.bundle && $(MAKE) build/image/next.bundle
	systemd/debian/lifecycle build/debian.tar $(BIN)
	PATIENCE=$${PATIENCE:-10m} go test -count=1 -timeout 15m -v -tags image -run '^(TestBoot|TestUpdate)$$/^BIOS$$' ./images

image-test: build/image/next.bundle ## start the image in QEMU: boot by BIOS and UEFI, verity, one update, a few power cuts
	CUTS=$${CUTS:-2} go test -count=1 -timeout 4h -v -tags image -run 'TestBoot|TestFlipped|TestUpdate|TestPower|TestSmall' ./images

image-test-all: build/image/next.bundle build/image/broken.bundle build/image/drawbridge-hw.bundle ## all of it: fall-back, 50 power cuts, three appliances, the hw variant, a second build that must be the same bits (hours)
	KEY=$${KEY:-build/image/test.key} images/build $(BIN) $$(images/version $(VERSION)) build/image-again
	AGAIN=../build/image-again CUTS=$${CUTS:-50} go test -count=1 -timeout 24h -v -tags image ./images

clean: ## remove what was built
	rm -rf build
