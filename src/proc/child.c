/* child.c - hearing what one worker process says, its deadlines, and burying it.
 *
 * Not here: which children there should be (slot.c), what is said of their deaths (obituary.c). */
#include "proc/child.h"

#include "base/check.h"
#include "base/clock.h"
#include "proc/child_parts.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MESSAGES_PER_TURN = 16
};

static void free_graves(struct crew__family *family)
{
	struct crew__node *head = &family->graves;
	for (struct crew__node *node = head->next, *after; node != head; node = after) {
		struct crew__child *child = crew__container_of(node, struct crew__child, node);
		after = node->next;
		crew__generation_unref(child->generation);
		free(child);
	}
	crew__list_init(head);
}

static bool on_turn_end(struct crew__turn_hook *hook)
{
	struct crew__family *family = crew__container_of(hook, struct crew__family, hook);
	if (family->readers_changed && family->on_readers) {
		family->readers_changed = false;
		family->on_readers(family->arg);
	}
	free_graves(family);
	return false;
}

void crew__family_init(struct crew__family *family)
{
	crew__list_init(&family->children);
	crew__list_init(&family->graves);
	for (unsigned i = 0; i < CREW_MAX_SERVICES; i++)
		crew__must(crew__tls_secret_new(&family->secrets[i]) == 0);
	family->hook = (struct crew__turn_hook){ .fn = on_turn_end };
	crew__loop_add_hook(family->loop, &family->hook);
}

void crew__family_fini(struct crew__family *family)
{
	crew__must(crew__list_empty(&family->children));
	crew__loop_remove_hook(family->loop, &family->hook);
	free_graves(family);
}

const struct crew__service_settings *crew__child_settings(const struct crew__child *child)
{
	return crew__generation_service(child->generation, child->service);
}

struct crew__child *crew__family_find(const struct crew__family *family, pid_t pid)
{
	const struct crew__node *head = &family->children;
	for (struct crew__node *n = head->next; n != head; n = n->next) {
		struct crew__child *child = crew__container_of(n, struct crew__child, node);
		if (child->pid == pid)
			return child;
	}
	return NULL;
}

bool crew__family_owes(const struct crew__family *family)
{
	const struct crew__node *head = &family->children;
	for (const struct crew__node *n = head->next; n != head; n = n->next)
		if (crew__container_of(n, struct crew__child, node)->wants_room)
			return true;
	return false;
}

/* ---- deadlines ----------------------------------------------------------------------------- */

void crew__child_set_deadline(struct crew__child *child, uint64_t after_ms)
{
	uint64_t due = crew__clock_ns() + after_ms * CREW__NS_PER_MS;
	if (child->deadline_ns != 0 && child->deadline_ns <= due)
		return;
	child->deadline_ns = due;
	crew__registry_due(child->family->registry, child->entry, due);
	/* Without memory for the timer the child has no time left: it must not escape its deadline.
	 */
	if (crew__timer_start(child->family->loop, &child->deadline, due) < 0)
		crew__child_kill(child);
}

void crew__child_on_deadline(struct crew__timer *timer)
{
	struct crew__child *child = crew__container_of(timer, struct crew__child, deadline);
	const char *name = crew__child_settings(child)->service->name;
	child->overdue = true;
	if (child->state == CREW__CHILD_STARTING) {
		snprintf(child->failure, sizeof(child->failure),
			"it was not ready within %d s (does on_worker_start return?)",
			CREW__START_DEADLINE_MS / 1000);
		crew__log(CREW_ERROR, "%s#%u (pid %d) is killed: %s", name, child->id,
			(int)child->pid, child->failure);
	} else {
		crew__log(CREW_WARN, "%s#%u (pid %d) has not ended in its time and is killed", name,
			child->id, (int)child->pid);
	}
	crew__child_kill(child);
}

void crew__child_kill(struct crew__child *child)
{
	/* Until it is waited for its pid cannot pass to another process. */
	if (!child->dead)
		kill(child->pid, SIGKILL);
}

static void begin_stopping(struct crew__child *child, uint64_t deadline_ms)
{
	if (child->state != CREW__CHILD_STOPPING) {
		child->state = CREW__CHILD_STOPPING;
		child->family->readers_changed = true;
		child->deadline_ns = 0;
		crew__registry_note(
			child->family->registry, child->entry, child->pid, CREW__DRAINING);
	}
	crew__child_set_deadline(child, deadline_ms);
}

void crew__child_stop(
	struct crew__child *child, const struct crew__stop_order *order, uint64_t grace_ms)
{
	child->expected = true;
	child->stop = *order;
	child->owes_stop = true;
	begin_stopping(child, order->window_ms + grace_ms);
	crew__child_settle(child);
}

static void close_wire(struct crew__child *child)
{
	int fd = child->wire.fd;
	if (fd < 0)
		return;
	crew__loop_remove(child->family->loop, &child->wire);
	close(fd);
	crew__child_drop_tls(child);
}

/* The socket is of no use any more, and a worker without its master's ear must not live on. */
void crew__child_lose(struct crew__child *child, const char *why)
{
	close_wire(child);
	if (why)
		crew__log(CREW_ERROR, "%s#%u (pid %d) %s",
			crew__child_settings(child)->service->name, child->id, (int)child->pid,
			why);
	begin_stopping(child, CREW__KILL_GRACE_MS);
}

/* ---- what the child says ------------------------------------------------------------------- */

static void become_ready(struct crew__child *child)
{
	if (child->state != CREW__CHILD_STARTING)
		return;
	child->state = CREW__CHILD_READY;
	child->was_ready = true;
	child->family->readers_changed = true;
	child->deadline_ns = 0;
	crew__timer_stop(child->family->loop, &child->deadline);
	crew__registry_due(child->family->registry, child->entry, 0);
	crew__registry_note(child->family->registry, child->entry, child->pid, CREW__READY);
	child->family->on_ready(child->family->arg, child);
}

static void take_tls_done(struct crew__child *child, const struct crew__message *message)
{
	struct crew__tls_done done;
	if (message->length != sizeof(done))
		return;
	memcpy(&done, message->payload, sizeof(done));
	if (child->family->on_tls)
		child->family->on_tls(child->family->arg, child, done.serial, done.status == 0);
}

static void take_message(struct crew__child *child, const struct crew__message *message)
{
	switch (message->type) {
	case CREW__MSG_READY:
		become_ready(child);
		break;
	case CREW__MSG_FAILED:
		snprintf(child->failure, sizeof(child->failure), "%.*s",
			(int)sizeof(child->failure) - 1, message->payload);
		break;
	case CREW__MSG_LEAVING:
		child->expected = true;
		begin_stopping(child, (uint64_t)crew__child_settings(child)->stop_timeout_ms +
					      CREW__KILL_GRACE_MS);
		if (child->family->on_leaving && !child->dead)
			child->family->on_leaving(child->family->arg, child);
		break;
	case CREW__MSG_TLS_DONE:
		take_tls_done(child, message);
		break;
	case CREW__MSG_STOPPED:
		begin_stopping(child, CREW__KILL_GRACE_MS);
		break;
	default:
		crew__child_lose(child, "sent its master a message that makes no sense");
	}
}

/* Read what has come; the end of the stream is either death, which SIGCHLD tells, or a process that
 * closed what it was given. */
void crew__child_listen(struct crew__child *child, unsigned most)
{
	static struct crew__message message; /* large; one loop, one thread */
	while (child->wire.fd >= 0 && most-- > 0) {
		int got = crew__wire_receive(child->wire.fd, &message);
		if (got == -EAGAIN)
			return;
		if (got == 0 || got == -ECONNRESET) {
			crew__child_lose(child, NULL);
			return;
		}
		if (got < 0) {
			crew__child_lose(child, "sent its master something that is no message");
			return;
		}
		crew__message_release(&message);
		take_message(child, &message);
	}
}

void crew__child_on_wire(struct crew__source *source, unsigned events)
{
	struct crew__child *child = crew__container_of(source, struct crew__child, wire);
	if (events & (CREW__READ | CREW__HUP | CREW__ENDED))
		crew__child_listen(child, MESSAGES_PER_TURN);
	if (events & CREW__WRITE)
		crew__child_settle(child);
}

/* ---- death ---------------------------------------------------------------------------------- */

/* Shared memory may hold anything; what goes into a log ends somewhere. */
static void copy_last_words(const struct crew__child *child, char *text, size_t size)
{
	const struct crew__segment_header *header = child->entry->segment.header;
	size_t length = strnlen(
		header->last_words, crew__min(size - 1, sizeof(header->last_words)));
	memcpy(text, header->last_words, length);
	text[length] = '\0';
}

/* Words of another signal than the one it died of are not about its death. */
static void copy_fault(const struct crew__child *child, struct crew__death *death)
{
	const struct crew__words *words = crew__segment_words(&child->entry->segment);
	if (!words || death->signal == 0)
		return;
	crew__words_copy(words, &death->fault, &death->stack);
	if (death->fault.signal == death->signal)
		return;
	memset(&death->fault, 0, sizeof(death->fault));
	memset(&death->stack, 0, sizeof(death->stack));
}

void crew__child_reap(struct crew__child *child, int wait_status, struct crew__death *ret_death)
{
	child->dead = true;
	child->family->readers_changed = true;
	crew__child_listen(child, UINT32_MAX);
	close_wire(child);
	crew__timer_stop(child->family->loop, &child->deadline);
	crew__output_end(&child->output);

	memset(ret_death, 0, sizeof(*ret_death));
	if (WIFSIGNALED(wait_status)) {
		ret_death->signal = WTERMSIG(wait_status);
		ret_death->dumped_core = WCOREDUMP(wait_status);
	} else {
		ret_death->status = WEXITSTATUS(wait_status);
	}
	ret_death->lived_ms = (crew__clock_ns() - child->began_ns) / CREW__NS_PER_MS;
	copy_last_words(child, ret_death->last_words, sizeof(ret_death->last_words));
	copy_fault(child, ret_death);
	crew__registry_end(child->family->registry, child->entry, ret_death->status,
		ret_death->signal, &ret_death->last);
	child->entry = NULL;
	crew__list_remove(&child->node);
	crew__list_push(&child->family->graves, &child->node);
}
