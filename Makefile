# A thin front end over Meson. `make help` lists the targets.
# Variables: BUILD (build folder), PREFIX and DESTDIR (install), OUT (report of the demo),
# CONFORMANCE (folder of ONNX backend tests; those of NISSL_DATA where it is not given),
# NISSL_DATA (reference data for the tests; ../shared/data is used where it exists).

BUILD ?= build
PREFIX ?= /usr/local
OUT ?= nissl-demo
OPTIONS ?=

.PHONY: build help bootstrap demo test check lint sanitize fuzz conformance bench install uninstall format clean

build: $(BUILD)/build.ninja ## build the library, the program and the tests (default)
	@ninja -C $(BUILD)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

bootstrap: ## install the Debian packages that are missing
	@scripts/bootstrap.sh build check web

$(BUILD)/build.ninja:
	@meson setup $(BUILD) . --prefix=$(PREFIX) $(OPTIONS) >$(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

demo: ## install what is missing, build, examine the built-in model, say where the report is
	@scripts/bootstrap.sh build web
	@$(MAKE) --no-print-directory --quiet $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet program
	@$(BUILD)/nissl demo --force -o $(OUT)

test: ## install what is missing, build, run every test at two instruction sets
	@scripts/bootstrap.sh build check web
	@$(MAKE) --no-print-directory --quiet $(BUILD)/build.ninja
	@python3 scripts/run_tests.py --build $(BUILD) $(foreach job,$(ALSO),--also $(job))

check: $(BUILD)/build.ninja ## floors, headers, layout and static analysis
	@scripts/bootstrap.sh build check
	@python3 scripts/check_floors.py
	@python3 scripts/check_headers.py
	@python3 scripts/check_format.py
	@python3 scripts/check_tidy.py --build $(BUILD)

lint: ## build everything with gcc and with clang, every warning an error
	@scripts/bootstrap.sh build check
	@python3 scripts/lint.py

sanitize: ## run every test under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/bootstrap.sh build check
	@python3 scripts/run_tests.py --sanitize --build $(BUILD)-sanitize

fuzz: ## run every fuzz target under libFuzzer for SECONDS (60)
	@scripts/bootstrap.sh build check
	@python3 scripts/fuzz.py --seconds $(or $(SECONDS),60)

conformance: $(BUILD)/build.ninja ## run the ONNX backend tests of a folder (CONFORMANCE=folder)
	@ninja -C $(BUILD) --quiet tests/conformance/conformance
	@sh tests/conformance/run.sh $(BUILD)/tests/conformance/conformance $(BUILD)/tests/conformance "$(CONFORMANCE)" $(if $(LIST),--list)

bench: $(BUILD)/build.ninja ## measure speed (methods and results: bench/SPEED.md)
	@ninja -C $(BUILD) --quiet
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE meson test -C $(BUILD) --benchmark --no-rebuild --num-processes 1 --verbose

install: build ## install under PREFIX (and DESTDIR)
	@meson configure $(BUILD) --prefix=$(PREFIX)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --quiet

uninstall: ## remove what install put there
	@ninja -C $(BUILD) --quiet uninstall

format: ## lay out the C code with clang-format
	@git ls-files '*.c' '*.h' '*.cpp' | xargs clang-format -i

clean: ## remove what the build made
	@rm -rf $(BUILD) $(BUILD)-sanitize build-lint-gcc build-lint-clang build-fuzz $(BUILD).log $(OUT)
