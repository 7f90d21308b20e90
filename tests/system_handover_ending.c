/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A restart while a connection is being ended: one that was cut off in the middle of a message, and
 * has not closed its end yet, is no reason for the others to notice anything.
 */

#include "harness_handover.h"

START_TEST(too_late_for_its_message)
{
	struct manager manager;
	int slow, other;

	handover_start(&manager, "timeouts: { message = \"50ms\"; drain = \"1h\"; };");
	other = client(&manager.server, "length", NULL);
	handover_ask(other);
	slow = client(&manager.server, "length", NULL);
	send_text(slow, "5         ab");
	expect_text(slow, "-9        timed out");
	manager_restart(&manager);
	ck_assert_uint_eq(server_count_log(&manager.server, "took over 2 connections"), 1);
	handover_ask(other);
	shut_down(slow);
	expect_end(slow);
	hang_up(&slow);
	hang_up(&other);
	manager_stop(&manager);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("handover_ending");

	harness_add(suite, too_late_for_its_message);
	return harness_main(suite);
}
