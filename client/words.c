/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "words.h"

#include <string.h>

#include "util.h"

char *words_join(char *const words[])
{
	size_t len = 1;
	char *text, *end;

	for (char *const *word = words; *word; word++)
		len += strlen(*word) + 1;
	text = end = malloc(len);
	if (!text)
		return NULL;
	for (char *const *word = words; *word; word++) {
		if (word != words)
			*end++ = ' ';
		end = stpcpy(end, *word);
	}
	*end = '\0';
	return text;
}
