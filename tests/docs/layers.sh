#!/bin/sh
# What the include paths cannot enforce: the lower layers use none of the headers of the upper ones,
# and the upper ones reach no file of the graph by a path of their own.
set -eu
cd "$(dirname "$0")/../.."
failed=0
complain() {
    echo "$2"
    echo "  $1"
    failed=1
}
for layer in base kernels graph ops; do
    found=$(grep -nE '#include <gradus/(nn|layers|optim|data|io|train|check|explain|gradus)\.h>' src/$layer/*.[ch] || true)
    [ -z "$found" ] || complain "$found" "src/$layer may not use headers of upper layers:"
done
found=$(grep -nE '#include "[^"]*/' -r src --include='*.[ch]' || true)
[ -z "$found" ] || complain "$found" 'includes go by include path, not by folder:'
found=$(grep -lE '#include "(tape|family|kernels|strided|gemm)\.h"' -r src/text src/check src/nn src/optim src/data src/io src/explain src/train src/cli || true)
[ -z "$found" ] || complain "$found" 'only graph and ops see the inside of a graph:'
found=$(grep -nE '<(cblas|dnnl)\.h>' -r src | grep -v '^src/kernels/' || true)
[ -z "$found" ] || complain "$found" 'only src/kernels includes BLAS:'
found=$(grep -nwE '(malloc|calloc|realloc|aligned_alloc|free|fopen)[(]' -r src --include='*.[ch]' |
    grep -vE '^src/(base/(memory|file)|data/embed|cli/)' || true)
[ -z "$found" ] || complain "$found" 'memory comes from base/memory.c, files from base/file.c:'
exit $failed
