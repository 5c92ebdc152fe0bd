/* clones.h - loops compiled once per instruction set, chosen when the program is loaded.
 *
 * Their names are unique in the library, though the functions are static: clang 14 makes the symbol
 * that chooses a global one.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CLONES_H
#define GR__CLONES_H

#ifdef GRADUS_CLONES
#define GR__CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define GR__CLONES
#endif

#endif
