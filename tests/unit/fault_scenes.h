/* fault_scenes.h - scenes in which the n-th call of a kind fails, for every n: test by test, a kind
 * each. For test_fault_*.c. */
#ifndef CREW_TESTS_FAULT_SCENES_H
#define CREW_TESTS_FAULT_SCENES_H

#include "fault.h"

enum {
	FAULT_SCENES_KINDS = FAULT_KINDS
};

struct fault_scenes {
	size_t count;
	/* Play scene `index` with the n-th call failing, and check what must hold whatever fails.
	 * False when it made fewer than n such calls. */
	bool (*run)(size_t index, enum fault_kind kind, unsigned n, bool lasting);
	unsigned most; /* n goes no further; 0: as far as the scene does */
	enum fault_kind kinds[FAULT_SCENES_KINDS];               /* ends at the first FAULT_NONE */
	int (*set_up)(void **state), (*tear_down)(void **state); /* of all; NULL: none */
};

/* What main() returns. */
int fault_scenes_main(const struct fault_scenes *scenes);

#endif
