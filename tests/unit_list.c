/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The linked list, against arrays. */

#include <stdint.h>
#include <string.h>

#include "harness.h"
#include "list.h"

enum { ELEMENTS = 24, LISTS = 3 };

struct element {
	long id; /* before the link, so that this is not where the element begins */
	struct list link;
};

/* What a list should hold: the ids, in order. */
struct model {
	long ids[ELEMENTS];
	size_t n;
};

static void model_remove(struct model *model, long id)
{
	for (size_t i = 0; i < model->n; i++)
		if (model->ids[i] == id) {
			model->n--;
			memmove(&model->ids[i], &model->ids[i + 1],
				(model->n - i) * sizeof(model->ids[0]));
			return;
		}
}

/* Walks the list in both directions. */
static void assert_holds(struct list *list, const struct model *model)
{
	struct element *element;
	size_t n = 0;

	ck_assert_int_eq(list_empty(list), model->n == 0);
	LIST_FOR_EACH(element, list, struct element, link) {
		ck_assert_uint_lt(n, model->n);
		ck_assert_int_eq(element->id, model->ids[n++]);
	}
	ck_assert_uint_eq(n, model->n);
	for (struct list *link = list->previous; link != list; link = link->previous)
		ck_assert_int_eq(CONTAINER_OF(link, struct element, link)->id, model->ids[--n]);
	ck_assert_uint_eq(n, 0);
}

START_TEST(test_empty)
{
	struct list named = LIST_INIT(named), list;
	struct element *element;

	list_init(&list);
	ck_assert(list_empty(&named));
	ck_assert(list_empty(&list));
	LIST_FOR_EACH(element, &list, struct element, link)
		ck_abort_msg("an empty list has element %li", element->id);
	list_remove(&list);
	ck_assert(list_empty(&list));
}
END_TEST

START_TEST(test_remove_twice)
{
	struct list list = LIST_INIT(list);
	struct element a = {.id = 1}, b = {.id = 2};

	list_append(&list, &a.link);
	list_append(&list, &b.link);
	list_remove(&a.link);
	ck_assert(list_empty(&a.link));
	list_remove(&a.link);
	assert_holds(&list, &(struct model){{2}, 1});
	list_append(&list, &a.link);
	assert_holds(&list, &(struct model){{2, 1}, 2});
}
END_TEST

/* Each subset of a list is removed while the list is walked. */
START_TEST(test_remove_while_walking)
{
	enum { N = 6 };

	for (unsigned doomed = 0; doomed < 1u << N; doomed++) {
		struct element elements[N], *element;
		struct list list = LIST_INIT(list), others = LIST_INIT(others);
		struct model kept = {.n = 0}, moved = {.n = 0};
		int seen = 0;

		for (int i = 0; i < N; i++) {
			struct model *model = doomed >> i & 1 ? &moved : &kept;

			elements[i].id = i;
			model->ids[model->n++] = i;
			list_append(&list, &elements[i].link);
		}
		LIST_FOR_EACH(element, &list, struct element, link) {
			ck_assert_int_eq(element->id, seen++);
			if (doomed >> element->id & 1) {
				list_remove(&element->link);
				list_append(&others, &element->link);
			}
		}
		ck_assert_int_eq(seen, N);
		assert_holds(&list, &kept);
		assert_holds(&others, &moved);
	}
}
END_TEST

START_TEST(test_against_arrays)
{
	struct list lists[LISTS];
	struct model models[LISTS] = {{.n = 0}};
	struct element elements[ELEMENTS];
	int where[ELEMENTS]; /* the list that an element is on; -1: none */
	struct random random;

	random_init(&random, 1);
	for (int i = 0; i < LISTS; i++)
		list_init(&lists[i]);
	for (int i = 0; i < ELEMENTS; i++) {
		elements[i].id = i;
		list_init(&elements[i].link);
		where[i] = -1;
	}
	for (int round = 0; round < 1000; round++) {
		int i = (int)random_below(&random, ELEMENTS);
		int to = (int)random_below(&random, LISTS + 1) - 1;

		list_remove(&elements[i].link);
		if (where[i] >= 0)
			model_remove(&models[where[i]], i);
		where[i] = to;
		if (to >= 0) {
			list_append(&lists[to], &elements[i].link);
			models[to].ids[models[to].n++] = i;
		}
		for (int list = 0; list < LISTS; list++)
			assert_holds(&lists[list], &models[list]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("list");

	harness_add(suite, test_empty);
	harness_add(suite, test_remove_twice);
	harness_add(suite, test_remove_while_walking);
	harness_add(suite, test_against_arrays);
	return harness_main(suite);
}
