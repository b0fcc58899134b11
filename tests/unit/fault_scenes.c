#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault_scenes.h"

#include "base/log.h"

#include <signal.h>

struct part {
	const struct fault_scenes *scenes;
	enum fault_kind kind;
};

static void every_call_fails_once(void **state)
{
	const struct part *part = *state;
	const struct fault_scenes *scenes = part->scenes;
	for (size_t i = 0; i < scenes->count; i++) {
		unsigned reached = 0;
		for (int lasting = 0; lasting < 2; lasting++)
			for (unsigned n = 1; (scenes->most == 0 || n <= scenes->most) &&
					     scenes->run(i, part->kind, n, lasting);
				n++)
				reached = n;
		assert_true(reached > 0);
	}
}

int fault_scenes_main(const struct fault_scenes *scenes)
{
	struct part parts[FAULT_SCENES_KINDS];
	struct CMUnitTest tests[FAULT_SCENES_KINDS] = { 0 };
	size_t count = 0;
	signal(SIGPIPE, SIG_IGN);
	crew__log_open(-1, CREW_ERROR, "test");
	for (; count < FAULT_SCENES_KINDS && scenes->kinds[count] != FAULT_NONE; count++) {
		parts[count] = (struct part){ scenes, scenes->kinds[count] };
		tests[count].name = fault_name(scenes->kinds[count]);
		tests[count].test_func = every_call_fails_once;
		tests[count].initial_state = &parts[count];
	}
	return _cmocka_run_group_tests("faults", tests, count, scenes->set_up, scenes->tear_down);
}
