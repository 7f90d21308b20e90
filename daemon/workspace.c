/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "workspace.h"

#include "util.h"

enum { KEEP_BYTES = 4 << 20 }; /* in each buffer, from turn to turn */

int workspace_init(struct workspace *workspace, size_t input)
{
	uint8_t *data = malloc(input);

	if (!data)
		return -ENOMEM;
	*workspace = (struct workspace){.input = {data, input}};
	return 0;
}

void workspace_done(struct workspace *workspace)
{
	free(workspace->input.data);
	answers_done(&workspace->answers);
	scratch_done(&workspace->scratch);
	payload_scratch_done(&workspace->payload_scratch);
	buffer_done(&workspace->json);
	*workspace = (struct workspace){0};
}

void workspace_clear(struct workspace *workspace)
{
	answers_clear(&workspace->answers, KEEP_BYTES);
	scratch_trim(&workspace->scratch, KEEP_BYTES);
	if (workspace->json.size > KEEP_BYTES)
		buffer_done(&workspace->json);
	if (workspace->payload_scratch.string.size > KEEP_BYTES)
		payload_scratch_done(&workspace->payload_scratch);
}
