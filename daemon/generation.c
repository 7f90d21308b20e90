/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "generation.h"

#include <stdlib.h>

#include "config.h"

struct generation *generation_new(struct config *config)
{
	struct generation *generation = malloc(sizeof(*generation));

	if (!generation) {
		config_free(config);
		return NULL;
	}
	*generation = (struct generation){config, 1};
	return generation;
}

struct generation *generation_ref(struct generation *generation)
{
	generation->references++;
	return generation;
}

struct generation *generation_unref(struct generation *generation)
{
	if (generation && --generation->references == 0) {
		config_free(generation->config);
		free(generation);
	}
	return NULL;
}
