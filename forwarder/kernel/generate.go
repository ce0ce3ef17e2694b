package kernel

// builtBy is the version of clang that made the committed object (Debian 12's). Another makes other code.
const builtBy = "14.0.6"

//go:generate sh -c "sh bpf/build.sh $PWD/bpf/dataplane.o"
