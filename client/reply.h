/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the server sent, as JSON for programs: on standard output, or to look into. */

#include <jansson.h>
#include <stdint.h>

#include "moment.h"
#include "retort.h"

/*
 * Makes an object of a reply, without the members that only say that it is one ("id", "ok").
 * Complains and returns the status to exit with, or STATUS_GO_ON with *ret_object, which the caller
 * frees by json_decref().
 */
int reply_object(const struct retort_reply *reply, json_t **ret_object);

/* Prints each object of the reply's array of this name as a line; returns likewise. */
int reply_print_each(const struct retort_reply *reply, const char *array);

/* Prints the whole reply as a line; returns likewise. */
int reply_print(const struct retort_reply *reply);

/* Prints an object as a line, and frees it; NULL is out of memory. Returns likewise. */
int reply_print_object(json_t *object);

/* A member of an object: 0 for what is no positive number, "" for what is no string. */
uint64_t reply_number(const json_t *object, const char *name);
const char *reply_string(const json_t *object, const char *name);

/* Writes a time of a reply, in RFC 3339, in local time; "" for what is none. Returns text. */
const char *reply_time(const json_t *time, char text[static MOMENT_TEXT_MAX]);
