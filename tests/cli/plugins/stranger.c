/* stranger.c - a shared object that has nothing to do with gradus. */
/* SPDX-License-Identifier: MIT */
int stranger(void);

int stranger(void)
{
    return 42;
}
