#!/bin/sh
# Compiles the programs into $1. The result is committed; a test makes it again and compares, so nothing that differs
# from machine to machine may get into it.
set -e
cd "$(dirname "$0")"
clang -O2 -g -Wall -Werror -target bpfel -mcpu=v3 "-ffile-prefix-map=$PWD=." "-I/usr/include/$(uname -m)-linux-gnu" -c dataplane.c -o "$1"
llvm-strip -g "$1"
