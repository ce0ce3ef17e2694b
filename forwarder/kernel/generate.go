package kernel

//go:generate clang -O2 -g -Wall -Werror -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -I/usr/include/x86_64-linux-gnu -c bpf/dataplane.c -o bpf/dataplane.o
//go:generate llvm-strip -g bpf/dataplane.o
