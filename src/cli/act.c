/* act.c - kick and set: ask, and see what came of it. */
#include "cli/act.h"

#include "base/clock.h"
#include "cli/command.h"
#include "cli/json_parts.h"
#include "cli/look.h"
#include "proc/order.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TEXT_MAX = 4096,
	PATIENCE_MS = 2000, /* for workers to end what they were told to end */
	LOOK_MS = 20,
	LIFE_SHIFT = 52 /* of an id */
};

static int complain(const struct crew__act *act, const char *text, int exit_status)
{
	fprintf(stderr, "%s: %s\n", act->settings->name, text);
	return exit_status;
}

static int exit_status_of(int error)
{
	if (error == -EINVAL)
		return CREW__USAGE;
	return error == -ESRCH ? CREW__NOT_RUNNING : CREW__FAILED;
}

static int attach(const struct crew__act *act, struct crew__attached *ret_attached)
{
	char text[TEXT_MAX];
	int error = crew__attach(
		act->settings->run_dir, act->settings->name, ret_attached, text, sizeof(text));
	return error ? complain(act, text, exit_status_of(error)) : CREW__DONE;
}

/* ---- what came of a kick ------------------------------------------------------------------- */

/* `chosen` keeps those that are there after all, at the latest when our patience ends. */
static int await_end(
	const struct crew__act *act, struct crew__attached *attached, struct crew__chosen *chosen)
{
	const struct timespec a_while = { .tv_nsec = LOOK_MS * (long)CREW__NS_PER_MS };
	uint64_t deadline = crew__clock_ns() + PATIENCE_MS * CREW__NS_PER_MS;
	struct crew__chosen gone;
	char text[TEXT_MAX];
	int error;
	for (;;) {
		error = crew__act_still_there(attached, chosen, &gone);
		if (error)
			return error;
		free(gone.ids);
		if (chosen->count == 0 || crew__clock_ns() >= deadline)
			break;
		nanosleep(&a_while, NULL);
	}
	if (chosen->count == 0)
		return 0;
	/* A worker that has died meanwhile has taken its connections with it. So
	 * has a program that was stopped. */
	error = crew__attach_refresh(
		attached, act->settings->run_dir, act->settings->name, text, sizeof(text));
	if (error == -ESRCH)
		chosen->count = 0;
	if (error == 0)
		error = crew__act_still_there(attached, chosen, &gone);
	if (error == 0)
		free(gone.ids);
	return error == -ENOMEM ? error : 0;
}

static void say_why(
	const struct crew__act *act, const struct crew__worker_look *worker, size_t count)
{
	char why[160];
	if (worker->stopped)
		snprintf(why, sizeof(why), "is stopped (SIGSTOP, or a debugger)");
	else if (worker->stands_still && worker->busy_in)
		snprintf(why, sizeof(why), "has been in %s for %" PRIu64 " ms", worker->busy_in,
			worker->turn_ms);
	else if (worker->stands_still)
		snprintf(why, sizeof(why), "has been busy for %" PRIu64 " ms", worker->turn_ms);
	else
		snprintf(why, sizeof(why), "has not ended %s within %d ms",
			count == 1 ? "it" : "them", PATIENCE_MS);
	fprintf(stderr, "%s: %zu %s still there: worker %s#%u (pid %d) %s; %s\n",
		act->settings->name, count, count == 1 ? "connection is" : "connections are",
		worker->service, worker->id, (int)worker->pid, why,
		worker->stopped || worker->stands_still ? "it will end them as soon as it goes on"
							: "see its log");
}

static size_t count_of_life(const struct crew__chosen *chosen, uint32_t life)
{
	size_t count = 0;
	for (size_t i = 0; i < chosen->count; i++)
		count += chosen->ids[i] >> LIFE_SHIFT == life;
	return count;
}

static void say_who_is_left(const struct crew__act *act, const struct crew__attached *attached,
	const struct crew__chosen *left)
{
	uint64_t now_ns = crew__clock_ns();
	for (size_t i = 0; i < attached->segment_count; i++) {
		struct crew__worker_look worker;
		crew__look_worker(&attached->segments[i], now_ns, &worker);
		size_t count = count_of_life(left, worker.life);
		if (count > 0)
			say_why(act, &worker, count);
	}
}

/* ---- kick ---------------------------------------------------------------------------------- */

static bool is_in(const struct crew__chosen *chosen, uint64_t id)
{
	for (size_t i = 0; i < chosen->count; i++)
		if (chosen->ids[i] == id)
			return true;
	return false;
}

/* `meant` are all of them, in the order of `left`. */
static void print_json(const struct crew__chosen *meant, const struct crew__chosen *left)
{
	json_t *kicked = json_array(), *still = json_array();
	for (size_t i = 0; i < left->count; i++)
		json_array_append_new(still, crew__json_id(left->ids[i]));
	for (size_t i = 0; i < meant->count; i++)
		if (left->count == 0 || !is_in(left, meant->ids[i]))
			json_array_append_new(kicked, crew__json_id(meant->ids[i]));
	json_t *document = json_pack("{s:I, s:o, s:o}", "kicked",
		(json_int_t)(meant->count - left->count), "ids", kicked, "left", still);
	json_dumpf(document, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(document);
}

static int tell(const struct crew__act *act, const struct crew__attached *attached,
	const struct crew__chosen *meant, const struct crew__chosen *left)
{
	size_t kicked = meant->count - left->count;
	if (act->json)
		print_json(meant, left);
	else if (!act->quiet)
		printf("kicked %zu %s\n", kicked, kicked == 1 ? "connection" : "connections");
	fflush(stdout);
	say_who_is_left(act, attached, left);
	return left->count > 0 ? CREW__FAILED : CREW__DONE;
}

static int kick_chosen(const struct crew__act *act, struct crew__attached *attached,
	const struct crew__chosen *meant)
{
	const struct crew__settings *settings = act->settings;
	struct crew__handed_on handed_on;
	char text[TEXT_MAX];
	int error = crew__order_kick(settings->run_dir, settings->name, meant->ids, meant->count,
		&handed_on, text, sizeof(text));
	if (error)
		return complain(act, text, exit_status_of(error));
	struct crew__chosen left = { .ids = calloc(meant->count + 1, sizeof(uint64_t)) };
	if (!left.ids)
		return complain(act, "no memory to see what came of it", CREW__FAILED);
	memcpy(left.ids, meant->ids, meant->count * sizeof(uint64_t));
	left.count = meant->count;
	if (handed_on.late > 0)
		fprintf(stderr,
			"%s: %u of them could not be told of: their worker does not listen; kick again "
			"when it does\n",
			settings->name, handed_on.late);
	error = await_end(act, attached, &left);
	int exit_status = error ? complain(act, "no memory to see what came of it", CREW__FAILED)
				: tell(act, attached, meant, &left);
	free(left.ids);
	return exit_status;
}

int crew__act_kick(const struct crew__act *act)
{
	struct crew__attached attached;
	struct crew__chosen meant;
	char text[TEXT_MAX];
	if (!act->argument == !act->verdict)
		return complain(act,
			"kick needs whom to end: an id or an address, or --verdict, and not both",
			CREW__USAGE);
	int failed = attach(act, &attached);
	if (failed)
		return failed;
	int error = crew__act_choose(
		&attached, act->argument, act->verdict, &meant, text, sizeof(text));
	if (error) {
		failed = complain(act, text, exit_status_of(error));
	} else {
		failed = kick_chosen(act, &attached, &meant);
		free(meant.ids);
	}
	crew__attach_fini(&attached);
	return failed;
}

/* ---- set ----------------------------------------------------------------------------------- */

static void print_set(const struct crew__act *act, const struct crew__handed_on *handed_on)
{
	if (act->json) {
		json_t *document = json_pack("{s:s, s:i, s:i}", "set", act->argument, "told",
			(int)handed_on->told, "late", (int)handed_on->late);
		json_dumpf(document, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(document);
	} else if (!act->quiet) {
		printf("%s, until a reload or restart; %u %s told\n", act->argument,
			handed_on->told, handed_on->told == 1 ? "worker was" : "workers were");
	}
}

int crew__act_set(const struct crew__act *act)
{
	const struct crew__settings *settings = act->settings;
	const char *text = act->argument;
	struct crew__handed_on handed_on;
	char wrong[TEXT_MAX];
	const char *equals = text ? strchr(text, '=') : NULL;
	if (!equals || !memchr(text, '.', (size_t)(equals - text)))
		return complain(act, "set needs SERVICE.KEY=VALUE, such as feed.policy=drop-oldest",
			CREW__USAGE);
	int error = crew__order_set(
		settings->run_dir, settings->name, text, &handed_on, wrong, sizeof(wrong));
	if (error)
		return complain(act, wrong, error == -ESRCH ? CREW__NOT_RUNNING : CREW__FAILED);
	print_set(act, &handed_on);
	if (handed_on.late > 0)
		fprintf(stderr, "%s: %u more %s not listen now and will be told when they do\n",
			settings->name, handed_on.late, handed_on.late == 1 ? "does" : "do");
	return CREW__DONE;
}
