/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_builtin.h"

/*
 * The commented sample and the built-in configuration are one file, so that neither can go astray
 * from the other. The assembler takes it in, as every gcc and clang can: the language has no way
 * before C23, and a generated C file would be one more step of the build.
 */

#include <stdint.h>

__asm__(".pushsection .rodata\n"
	"config_builtin:\n"
	".incbin \"conf/retortd.conf\"\n"
	"config_builtin_end:\n"
	".balign 8\n"
	"config_builtin_len:\n"
	".quad config_builtin_end - config_builtin\n"
	".popsection\n"
	".global config_builtin, config_builtin_len\n"
	".hidden config_builtin, config_builtin_len\n");

extern const char config_builtin[];
extern const uint64_t config_builtin_len;

const char *config_builtin_text(size_t *ret_len)
{
	*ret_len = config_builtin_len;
	return config_builtin;
}
