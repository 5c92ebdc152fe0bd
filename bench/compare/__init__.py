# compare - what bench/run is made of: workloads, programs, results, their table and page.
# SPDX-License-Identifier: MIT
