/* What the tests of the directory share: one with two services, made anew for each test. */
#ifndef CREW_TESTS_DIRECTORY_WORLD_H
#define CREW_TESTS_DIRECTORY_WORLD_H

#include "stats/directory.h"

#include "stats/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct directory_fixture {
	struct crew__directory directory;
	struct crew__directory_header *copy;
};

/* "feed", "web" */
extern const crew_service *const directory_services[];

/* cmocka's set-up and tear-down; the state is a struct directory_fixture. */
int directory_set_up(void **state);
int directory_tear_down(void **state);

/* A consistent copy. */
const struct crew__directory_header *directory_look(struct directory_fixture *f);

struct crew__life directory_life(uint32_t life, uint32_t service);

/* Lawful numbers, all multiples of n. */
struct crew__snapshot directory_work(uint64_t n);

/* The rows by worker. */
struct directory_rows {
	struct crew__retired *row;
	size_t count;
};

/* Each service's rows are its sum in f->copy. */
void directory_assert_sums(const struct directory_fixture *f, const struct directory_rows *rows);

#endif
