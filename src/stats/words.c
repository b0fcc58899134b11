/* words.c - reading what a worker has left of itself. Not here: writing it (proc/last_words.c). */
#include "stats/words.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- copies -------------------------------------------------------------------------------- */

static void copy_name(const char *from, char to[CREW__FRAME_MAX])
{
	size_t length = 0;
	for (; length < CREW__FRAME_MAX - 1; length++) {
		char byte = __atomic_load_n(&from[length], __ATOMIC_RELAXED);
		if (byte == '\0')
			break;
		to[length] = byte >= 0x20 && byte < 0x7f ? byte : '?';
	}
	to[length] = '\0';
}

static void copy_frames(const struct crew__stack *from, struct crew__stack *copy)
{
	uint32_t frames = __atomic_load_n(&from->frames, __ATOMIC_RELAXED);
	copy->frames = (uint32_t)crew__min(frames, CREW__FRAMES);
	copy->time_ns = from->time_ns;
	copy->thread = from->thread;
	for (uint32_t i = 0; i < copy->frames; i++) {
		copy->frame[i].address = from->frame[i].address;
		copy->frame[i].times = from->frame[i].times;
		copy_name(from->frame[i].name, copy->frame[i].name);
	}
}

bool crew__stack_copy(const struct crew__stack *from, struct crew__stack *ret_copy)
{
	uint32_t before = atomic_load_explicit(&from->serial, memory_order_acquire);
	memset(ret_copy, 0, sizeof(*ret_copy));
	if (before == 0)
		return false;
	copy_frames(from, ret_copy);
	atomic_thread_fence(memory_order_acquire);
	atomic_store_explicit(&ret_copy->serial, before, memory_order_relaxed);
	return atomic_load_explicit(&from->serial, memory_order_relaxed) == before;
}

enum crew__said crew__words_copy(const struct crew__words *from, struct crew__fault *ret_fault,
	struct crew__stack *ret_stack)
{
	uint32_t said = atomic_load_explicit(&from->said, memory_order_acquire);
	memset(ret_fault, 0, sizeof(*ret_fault));
	memset(ret_stack, 0, sizeof(*ret_stack));
	if (said > CREW__SAID_ALL)
		said = CREW__SAID_NOTHING;
	if (said >= CREW__SAID_WHAT)
		*ret_fault = from->fault;
	if (said >= CREW__SAID_WHERE)
		copy_frames(&from->dying, ret_stack);
	/* Names that nobody has finished are none. */
	for (uint32_t i = 0; said < CREW__SAID_ALL && i < ret_stack->frames; i++)
		ret_stack->frame[i].name[0] = '\0';
	return (enum crew__said)said;
}

/* ---- in words ------------------------------------------------------------------------------ */

static void segmentation_text(const struct crew__fault *fault, char *text, size_t size)
{
	if (fault->overflow)
		snprintf(
			text, size, "the stack overflowed (address 0x%" PRIx64 ")", fault->address);
	else if (fault->code == SEGV_MAPERR)
		snprintf(text, size, "nothing is mapped at address 0x%" PRIx64, fault->address);
	else if (fault->code == SEGV_ACCERR)
		snprintf(text, size, "address 0x%" PRIx64 " may not be used so", fault->address);
	else
		snprintf(text, size, "an address that cannot be one");
}

static void bus_text(const struct crew__fault *fault, char *text, size_t size)
{
	if (fault->code == BUS_ADRERR)
		snprintf(text, size,
			"the mapped file ends before address 0x%" PRIx64 " (has it been cut?)",
			fault->address);
	else
		snprintf(text, size, "address 0x%" PRIx64 " cannot be accessed", fault->address);
}

/* What the kernel says of what the process itself did. */
static void kernel_text(const struct crew__fault *fault, char *text, size_t size)
{
	switch (fault->signal) {
	case SIGSEGV:
		segmentation_text(fault, text, size);
		break;
	case SIGBUS:
		bus_text(fault, text, size);
		break;
	case SIGFPE:
		snprintf(text, size, "%s",
			fault->code == FPE_INTDIV ? "division by zero"
						  : "arithmetic that has no result");
		break;
	case SIGILL:
		snprintf(text, size, "no instruction stands at 0x%" PRIx64, fault->address);
		break;
	case SIGSYS:
		snprintf(text, size, "system call %" PRIu64 " is forbidden here", fault->address);
		break;
	default:
		snprintf(text, size, "%s", "");
	}
}

void crew__fault_text(const struct crew__fault *fault, int32_t pid, char *text, size_t size)
{
	if (fault->code > 0)
		kernel_text(fault, text, size);
	else if (fault->sender == pid)
		snprintf(text, size, "%s",
			fault->signal == SIGABRT ? "it gave itself up (abort)"
						 : "it sent that to itself");
	else if (fault->sender > 0)
		snprintf(text, size, "sent by pid %" PRId32 " (uid %" PRIu32 ")", fault->sender,
			fault->sender_uid);
	else
		snprintf(text, size, "%s", "");
}

const char *crew__frame_text(const struct crew__frame *frame, char text[CREW__FRAME_TEXT_MAX])
{
	int length = frame->name[0]
			     ? snprintf(text, CREW__FRAME_TEXT_MAX, "%s", frame->name)
			     : snprintf(text, CREW__FRAME_TEXT_MAX, "0x%" PRIx64, frame->address);
	if (frame->times > 1)
		snprintf(text + length, CREW__FRAME_TEXT_MAX - (size_t)length,
			", %" PRIu32 " times", frame->times);
	return text;
}

/* The function, or without one the file: "handle+0x12 (echo+0x1a2b)", "(libc.so.6+0x1a2b)". */
static void short_name(const struct crew__frame *frame, char name[CREW__FRAME_MAX])
{
	const char *from = frame->name[0] == '(' ? frame->name + 1 : frame->name;
	size_t length = strcspn(from, "+)");
	memcpy(name, from, length);
	name[length] = '\0';
	if (length == 0)
		snprintf(name, CREW__FRAME_MAX, "0x%" PRIx64, frame->address);
}

void crew__stack_text(const struct crew__stack *stack, char *text, size_t size)
{
	char name[CREW__FRAME_MAX], last[CREW__FRAME_MAX] = "";
	size_t used = 0;
	text[0] = '\0';
	for (uint32_t i = 0; i < stack->frames; i++) {
		short_name(&stack->frame[i], name);
		if (strcmp(name, "crew__loop_run") == 0)
			return; /* what is further out is always the same */
		if (strcmp(name, last) == 0)
			continue;
		size_t needed = strlen(name) + (used ? 3 : 0);
		if (needed >= size - used)
			return;
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " < " : "", name);
		memcpy(last, name, sizeof(last));
	}
}
