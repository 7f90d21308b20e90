/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_builtin.h"

/*
 * The commented sample and the built-in configuration are one file, so that neither can go astray
 * from the other. The assembler takes it in, as every gcc and clang can: the language has no way
 * before C23, and a generated C file would be one more step of the build.
 */

__asm__(".pushsection .rodata\n"
	"config_builtin_begin:\n"
	".incbin \"conf/retortd.conf\"\n"
	"config_builtin_end:\n"
	".byte 0\n"
	".popsection\n"
	".global config_builtin_begin, config_builtin_end\n"
	".hidden config_builtin_begin, config_builtin_end\n");

extern const char config_builtin_begin[], config_builtin_end[];

const char *config_builtin_text(size_t *ret_len)
{
	*ret_len = (size_t)(config_builtin_end - config_builtin_begin);
	return config_builtin_begin;
}
