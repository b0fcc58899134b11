/* obituary.c - the one place that tells of a dead worker. */
#include "proc/obituary.h"

#include "stats/slab.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void crew__death_text(const struct crew__death *death, char *text, size_t size)
{
	if (death->signal == 0 && death->status == 0) {
		snprintf(text, size, "ended");
	} else if (death->signal == 0) {
		snprintf(text, size, "exited with status %d", death->status);
	} else {
		const char *core = death->dumped_core ? "core dumped" : "no core dumped";
		const char *name = sigabbrev_np(death->signal);
		if (name)
			snprintf(text, size, "was killed by SIG%s (%s)", name, core);
		else
			snprintf(text, size, "was killed by signal %d (%s)", death->signal, core);
	}
}

static void add(char *text, size_t size, const char *before, const char *what)
{
	size_t length = strlen(text);
	snprintf(text + length, size - length, "%s%s", before, what);
}

/* "nothing is mapped at address 0x8; it stood in find < handle < on_message" */
static void add_fault(
	const struct crew__child *child, const struct crew__death *death, char *text, size_t size)
{
	char words[192], stack[192];
	crew__fault_text(&death->fault, child->pid, words, sizeof(words));
	if (death->fault.sender == getpid())
		words[0] = '\0'; /* why we did that is told already */
	crew__stack_text(&death->stack, stack, sizeof(stack));
	if (words[0])
		add(text, size, text[0] ? "; " : "", words);
	if (stack[0])
		add(text, size, text[0] ? "; it stood in " : "it stood in ", stack);
}

void crew__death_words(
	const struct crew__child *child, const struct crew__death *death, char *text, size_t size)
{
	text[0] = '\0';
	add(text, size, "", child->guarded.stuck);
	add_fault(child, death, text, size);
	if (child->failure[0])
		add(text, size, text[0] ? "; it said: " : "it said: ", child->failure);
	if (death->last_words[0])
		add(text, size,
			text[0] ? "; its last words: " : "its last words: ", death->last_words);
}

static void write_stack(const struct crew__child *child, const struct crew__stack *stack)
{
	char frame[CREW__FRAME_TEXT_MAX];
	for (uint32_t i = 0; i < stack->frames; i++)
		crew__log(CREW_WARN, "%s#%u (pid %d)   %2" PRIu32 " %s",
			crew__child_settings(child)->service->name, child->id, (int)child->pid, i,
			crew__frame_text(&stack->frame[i], frame));
}

static void write_line(
	const struct crew__child *child, const struct crew__death *death, const char *next)
{
	char how[96], more[1600] = "", words[1400];
	crew__death_text(death, how, sizeof(how));
	bool by_thread = death->stack.frames > 0 && death->stack.thread != (int32_t)child->pid;
	if (by_thread)
		add(more, sizeof(more), " in ", "another thread than its loop's");
	else if (death->signal != 0 && !child->overdue && death->last.callback != CREW__CB_NONE &&
		 death->last.callback < CREW__CALLBACKS)
		add(more, sizeof(more), " in ", crew__callback_name(death->last.callback));
	if (death->last.counters.connections > 0) {
		char connections[64];
		snprintf(connections, sizeof(connections), ", %" PRIu64 " connections lost",
			death->last.counters.connections);
		add(more, sizeof(more), connections, "");
	}
	crew__death_words(child, death, words, sizeof(words));
	if (words[0])
		add(more, sizeof(more), "; ", words);
	bool well = child->expected && death->status == 0 && death->signal == 0;
	crew__log(well ? CREW_INFO : CREW_WARN,
		"%s#%u (pid %d, generation %u) %s after %" PRIu64 ".%03u s%s; %s",
		crew__child_settings(child)->service->name, child->id, (int)child->pid,
		child->generation->number, how, death->lived_ms / 1000,
		(unsigned)(death->lived_ms % 1000), more, next);
}

void crew__obituary(
	const struct crew__child *child, const struct crew__death *death, const char *next)
{
	write_line(child, death, next);
	write_stack(child, &death->stack);
	const crew_service *service = crew__child_settings(child)->service;
	if (!service->on_worker_exit)
		return;
	service->on_worker_exit(&(crew_exit){
		.service = service,
		.id = child->id,
		.pid = child->pid,
		.status = death->status,
		.signal = death->signal,
		.expected = child->expected,
		.lived_ms = death->lived_ms,
	});
}
