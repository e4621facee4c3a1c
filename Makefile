# The two commands of the README, and a few more. All of them are `cargo xtask COMMAND`.

.PHONY: demo demo-stop test bench tidy

# Shows everything on a real server and leaves it running; DEMO_EXIT=1 stops all and says if it held.
demo:
	cargo run --package xtask -- demo $(if $(DEMO_EXIT),--exit)

demo-stop:
	cargo run --package xtask -- demo --stop

# Everything that CI runs.
test:
	cargo run --package xtask -- ci

# Measures speed and memory; BENCH_MB=1000 is the size of the data set in megabytes.
bench:
	cargo run --release --package xtask -- bench $(if $(BENCH_MB),--megabytes $(BENCH_MB))

tidy:
	cargo run --package xtask -- tidy
