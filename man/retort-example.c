/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Says each line of standard input in a room, and prints what is said there, until it has heard the
 * last of its own lines. Build it with: cc retort-example.c $(pkg-config --cflags --libs retort)
 * What others say may hold control characters; a program for a terminal shows them harmlessly.
 */

#include <retort.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char *argv[])
{
	const char *room = argc > 1 ? argv[1] : "lobby";
	const char *problem = "out of memory";
	struct retort *retort;
	struct retort_event event;
	uint64_t heard = 0, said = 0;
	char line[1000];

	if (retort_new(NULL, &retort, &problem) < 0) { /* NULL: $RETORT_ADDRESS */
		(void)fprintf(stderr, "%s\n", problem);
		return 1;
	}
	if (retort_connect(retort, 5000) == 0 && retort_join(retort, room, 5000) == 0) {
		while (fgets(line, sizeof(line), stdin)) {
			line[strcspn(line, "\n")] = '\0';
			if (retort_say(retort, room, line, 5000, &said) != 0)
				break;
		}
		while (heard < said && retort_next(retort, 5000, &event) == 1) {
			if (event.kind != RETORT_MESSAGE)
				continue;
			printf("%s: %s\n", event.message->from, event.message->text);
			heard = event.message->seq;
		}
	}
	if (said == 0 || heard < said)
		(void)fprintf(stderr, "%s\n", retort_problem(retort));
	retort_free(retort);
	return said == 0 || heard < said;
}
