/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chat_mail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A piece of a job's memory; all of them are freed together. */
struct job_memory {
	struct job_memory *next;
	max_align_t data[];
};

struct job *job_new(struct chat *chat, struct chat_request *request)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job) {
		free(request);
		return NULL;
	}
	job->chat = chat;
	job->request = request;
	job->reply.op = request->op;
	job->reply.id = request->id;
	return job;
}

void job_free(struct job *job)
{
	if (!job)
		return;
	while (job->memory) {
		struct job_memory *memory = job->memory;

		job->memory = memory->next;
		free(memory);
	}
	free(job->request);
	free(job);
}

void *job_alloc(struct job *job, size_t size)
{
	struct job_memory *memory = calloc(1, sizeof(*memory) + size);

	if (!memory)
		return NULL;
	memory->next = job->memory;
	job->memory = memory;
	return memory->data;
}

char *job_copy(struct job *job, const char *text)
{
	size_t size = text ? strlen(text) + 1 : 0;
	char *copy = text ? job_alloc(job, size) : NULL;

	return copy ? memcpy(copy, text, size) : NULL;
}

void job_refuse(struct job *job, enum chat_error error, const char *format, ...)
{
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	job->reply.error = error;
	job->reply.message = job_copy(job, text);
}

void job_refuse_memory(struct job *job)
{
	job_refuse(job, CHAT_STORAGE, "out of memory");
}

void job_reply_json(struct job *job, const char *format, ...)
{
	va_list arguments;
	char *text;
	int r;

	va_start(arguments, format);
	r = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (r >= 0)
		job->reply.json = job_copy(job, text);
	if (r < 0 || !job->reply.json)
		job_refuse_memory(job);
	if (r >= 0)
		free(text);
}
