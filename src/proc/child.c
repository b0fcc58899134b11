/* child.c - talking to one worker process, and burying it.
 *
 * Not here: which children there should be (slot.c), what is said of their deaths (obituary.c). */
#include "proc/child.h"

#include "base/check.h"
#include "base/clock.h"

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

/* ---- what the child is told ---------------------------------------------------------------- */

static void lose(struct crew__child *child, const char *why);

static int send_next_life(struct crew__child *child)
{
	const struct crew__registry *registry = child->family->registry;
	for (unsigned i = 0; i < CREW__LIVES_MAX; i++) {
		const struct crew__entry *entry = &registry->entries[i];
		if (child->told[i] == entry->serial)
			continue;
		struct crew__life_note note = { .index = i, .life = entry->life.life };
		int status;
		if (entry->serial == 0) {
			status = crew__wire_send(
				child->wire.fd, CREW__MSG_LIFE_GONE, &note, sizeof(note), NULL, 0);
		} else {
			int fd = crew__segment_readonly_fd(&entry->segment);
			if (fd < 0)
				return fd;
			status = crew__wire_send(
				child->wire.fd, CREW__MSG_LIFE, &note, sizeof(note), &fd, 1);
			close(fd);
		}
		if (status < 0)
			return status;
		child->told[i] = entry->serial;
	}
	return 0;
}

/* One setting of those that `*owed` has bits for; the values are those in force now. */
static int send_setting(struct crew__child *child, int service, uint64_t *owed)
{
	char text[256];
	unsigned key = (unsigned)__builtin_ctzll(*owed);
	int status = 0;
	if (crew__settings_show_live(child->generation->settings, service, key, text, sizeof(text)))
		status = crew__wire_send_text(child->wire.fd, CREW__MSG_SETTING, text);
	if (status == 0)
		*owed &= *owed - 1;
	return status;
}

static int send_settings(struct crew__child *child)
{
	int status = 0;
	while (status == 0 && child->owes_service)
		status = send_setting(child,
			crew__generation_index(child->generation, child->service),
			&child->owes_service);
	while (status == 0 && child->owes_crew)
		status = send_setting(child, -1, &child->owes_crew);
	return status;
}

static struct crew__tls_secret present_secret(struct crew__family *family, unsigned service)
{
	crew__tls_secret_advance(&family->secrets[service]);
	return family->secrets[service];
}

static void drop_tls(struct crew__child *child)
{
	if (child->tls_fd >= 0)
		close(child->tls_fd);
	child->tls_fd = -1;
}

static int send_tls(struct crew__child *child)
{
	struct crew__tls_order order;
	memset(&order, 0, sizeof(order));
	order.secret = present_secret(child->family, child->service);
	order.serial = child->tls_serial;
	order.tell = child->tls_tell;
	int status = crew__wire_send(
		child->wire.fd, CREW__MSG_TLS, &order, sizeof(order), &child->tls_fd, 1);
	explicit_bzero(&order, sizeof(order));
	if (status == 0)
		drop_tls(child);
	return status;
}

/* Send all that is owed, until the socket is full. Orders go before lives. */
static int send_owed(struct crew__child *child)
{
	int fd = child->wire.fd, status = 0;
	if (child->owes_reloading) {
		status = crew__wire_send(fd, CREW__MSG_RELOADING, NULL, 0, NULL, 0);
		if (status < 0)
			return status;
		child->owes_reloading = false;
	}
	if (child->owes_recycling) {
		status = crew__wire_send(fd, CREW__MSG_RECYCLING, NULL, 0, NULL, 0);
		if (status < 0)
			return status;
		child->owes_recycling = false;
	}
	if (child->owes_stop) {
		status = crew__wire_send(
			fd, CREW__MSG_STOP, &child->stop, sizeof(child->stop), NULL, 0);
		if (status < 0)
			return status;
		child->owes_stop = false;
	}
	if (child->owes_log) {
		status = crew__wire_send(
			fd, CREW__MSG_REOPEN_LOG, NULL, 0, child->family->log_fd, 1);
		if (status < 0)
			return status;
		child->owes_log = false;
	}
	if (child->tls_fd >= 0) {
		status = send_tls(child);
		if (status < 0)
			return status;
	}
	status = send_settings(child);
	return status < 0 ? status : send_next_life(child);
}

static void settle(struct crew__child *child)
{
	if (child->wire.fd < 0 || child->dead)
		return;
	int status = send_owed(child);
	if (status == -EPIPE || status == -ECONNRESET) {
		/* One that was told to leave has left; its death is reported in a moment. */
		bool leaves = child->state == CREW__CHILD_STOPPING;
		lose(child, leaves ? NULL : "does not listen to its master any more");
		return;
	}
	/* Anything else is a lack of room or descriptors, here or there, and passes. */
	bool wants_room = status < 0;
	if (wants_room != child->wants_room) {
		child->wants_room = wants_room;
		crew__loop_mod(child->family->loop, &child->wire,
			wants_room ? CREW__READ | CREW__WRITE : CREW__READ);
	}
}

void crew__child_reloading(struct crew__child *child)
{
	child->owes_reloading = true;
	settle(child);
}

void crew__child_recycling(struct crew__child *child)
{
	child->owes_recycling = true;
	settle(child);
}

void crew__child_reopen_log(struct crew__child *child)
{
	child->owes_log = true;
	settle(child);
}

bool crew__child_set(struct crew__child *child, const struct crew__settings_change *change)
{
	uint64_t *owed = change->service < 0 ? &child->owes_crew : &child->owes_service;
	uint64_t bit = UINT64_C(1) << change->key;
	*owed |= bit;
	settle(child);
	return !(*owed & bit);
}

int crew__child_kick(struct crew__child *child, const struct crew__kick_order *order)
{
	size_t length = offsetof(struct crew__kick_order, ids) +
			order->count * sizeof(order->ids[0]);
	if (child->wire.fd < 0 || child->dead)
		return -ENOTCONN;
	return crew__wire_send(child->wire.fd, CREW__MSG_KICK_THESE, order, length, NULL, 0);
}

void crew__child_sync(struct crew__child *child)
{
	settle(child);
}

int crew__child_tls(struct crew__child *child, int fd, uint32_t serial, bool tell)
{
	if (child->wire.fd < 0 || child->dead)
		return -ENOTCONN;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	drop_tls(child);
	child->tls_fd = copy;
	child->tls_serial = serial;
	child->tls_tell = tell;
	settle(child);
	return 0;
}

int crew__child_adopt(struct crew__child *child, unsigned id, const int *listen_fds, unsigned count)
{
	const struct crew__absence absence = { .id = id };
	if (child->wire.fd < 0)
		return -ENOTCONN;
	return crew__wire_send(
		child->wire.fd, CREW__MSG_ADOPT, &absence, sizeof(absence), listen_fds, count);
}

int crew__child_disown(struct crew__child *child, unsigned id)
{
	const struct crew__absence absence = { .id = id };
	if (child->wire.fd < 0)
		return -ENOTCONN;
	return crew__wire_send(
		child->wire.fd, CREW__MSG_DISOWN, &absence, sizeof(absence), NULL, 0);
}

/* ---- deadlines ----------------------------------------------------------------------------- */

static void set_deadline(struct crew__child *child, uint64_t after_ms)
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

static void on_deadline(struct crew__timer *timer)
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
	set_deadline(child, deadline_ms);
}

void crew__child_stop(
	struct crew__child *child, const struct crew__stop_order *order, uint64_t grace_ms)
{
	child->expected = true;
	child->stop = *order;
	child->owes_stop = true;
	begin_stopping(child, order->window_ms + grace_ms);
	settle(child);
}

static void close_wire(struct crew__child *child)
{
	int fd = child->wire.fd;
	if (fd < 0)
		return;
	crew__loop_remove(child->family->loop, &child->wire);
	close(fd);
	drop_tls(child);
}

/* The socket is of no use any more, and a worker without its master's ear must not live on. */
static void lose(struct crew__child *child, const char *why)
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
		lose(child, "sent its master a message that makes no sense");
	}
}

/* Read what has come; the end of the stream is either death, which SIGCHLD tells, or a process that
 * closed what it was given. */
static void listen_to(struct crew__child *child, unsigned most)
{
	static struct crew__message message; /* large; one loop, one thread */
	while (child->wire.fd >= 0 && most-- > 0) {
		int got = crew__wire_receive(child->wire.fd, &message);
		if (got == -EAGAIN)
			return;
		if (got == 0 || got == -ECONNRESET) {
			lose(child, NULL);
			return;
		}
		if (got < 0) {
			lose(child, "sent its master something that is no message");
			return;
		}
		crew__message_release(&message);
		take_message(child, &message);
	}
}

static void on_wire(struct crew__source *source, unsigned events)
{
	struct crew__child *child = crew__container_of(source, struct crew__child, wire);
	if (events & (CREW__READ | CREW__HUP | CREW__ENDED))
		listen_to(child, MESSAGES_PER_TURN);
	if (events & CREW__WRITE)
		settle(child);
}

/* ---- birth and death ----------------------------------------------------------------------- */

static int send_hello(struct crew__child *child, int wire_fd)
{
	struct crew__family *family = child->family;
	struct crew__hello hello = {
		.id = child->id,
		.generation = child->generation->number,
		.life = child->entry->life.life,
		.index = crew__entry_index(family->registry, child->entry),
	};
	snprintf(hello.service, sizeof(hello.service), "%s",
		crew__child_settings(child)->service->name);
	int directory_fd = crew__directory_readonly_fd(&family->registry->directory);
	if (directory_fd < 0)
		return directory_fd;
	enum {
		FIXED = 4
	};
	int fds[FIXED + CREW__ADDRESSES_MAX + 1] = { child->generation->settings_fd,
		child->entry->segment.fd, *family->log_fd, directory_fd };
	hello.listeners = crew__listeners_fds(
		&child->generation->listeners, child->service, child->id, false, fds + FIXED);
	size_t count = FIXED + hello.listeners;
	const struct crew__certificates *certificates = &child->generation->certificates;
	if (certificates->service[child->service].has) {
		hello.tls = 1;
		hello.secret = present_secret(family, child->service);
		fds[count++] = certificates->service[child->service].fd;
	}
	int status = crew__wire_send(wire_fd, CREW__MSG_HELLO, &hello, sizeof(hello), fds, count);
	explicit_bzero(&hello.secret, sizeof(hello.secret));
	close(directory_fd);
	/* Its own life it has from the hello. */
	child->told[hello.index] = child->entry->serial;
	return status;
}

/* One that prints where its master prints is better than none. */
static void capture_output(struct crew__child *child, int ret_fds[2])
{
	const struct crew__settings *settings = child->generation->settings;
	int status = child->family->capture && settings->capture_output
			     ? crew__output_open(&child->output, ret_fds)
			     : 0;
	if (status < 0)
		crew__log(CREW_WARN, "%s#%u prints past the log: no pipe for it: %s",
			child->output.origin.service, child->id, strerror(-status));
}

/* Greet and fork. The greeting waits in the socket until the worker reads it. */
static int run(struct crew__child *child)
{
	int pair[2], output_fds[2] = { -1, -1 };
	int status = crew__wire_pair(pair);
	if (status < 0)
		return status;
	child->wire = (struct crew__source){ .fn = on_wire, .fd = pair[0] };
	status = send_hello(child, pair[0]);
	if (status == 0)
		status = crew__loop_add(child->family->loop, &child->wire, CREW__READ);
	if (status == 0) {
		capture_output(child, output_fds);
		child->pid = fork();
		if (child->pid == 0)
			crew__spawn_exec(
				child->family->launch, child->generation, pair[1], output_fds);
		if (child->pid < 0) {
			status = -errno;
			crew__loop_remove(child->family->loop, &child->wire);
		}
	}
	close(pair[1]);
	for (int i = 0; i < 2; i++)
		if (output_fds[i] >= 0)
			close(output_fds[i]);
	if (status < 0) {
		crew__output_end(&child->output);
		close(pair[0]);
	}
	return status;
}

static void init_output(struct crew__child *child)
{
	const struct crew__log_origin origin = {
		.app = child->generation->settings->name,
		.service = crew__child_settings(child)->service->name,
		.worker = child->id,
		.pid = child->pid,
	};
	crew__output_init(&child->output, child->family->loop, &origin,
		(uint32_t)child->generation->settings->capture_lines);
}

int crew__child_start(struct crew__family *family, struct crew__generation *generation,
	unsigned service, unsigned id, struct crew__entry **vacancy, struct crew__child **ret_child)
{
	struct crew__child *child = calloc(1, sizeof(*child));
	if (!child)
		return -ENOMEM;
	const struct crew__listener *listener = &generation->listeners.service[service];
	const struct crew__life_plan plan = {
		.settings = crew__generation_service(generation, service),
		.listen = listener->count > 0 ? listener->text : NULL,
		.counters = generation->settings->app->counters,
		.service = service,
		.id = id,
		.generation = generation->number,
	};
	child->family = family;
	child->generation = generation;
	child->service = service;
	child->id = id;
	child->began_ns = crew__clock_ns();
	child->deadline.fn = on_deadline;
	child->tls_fd = -1;
	init_output(child);
	int status = crew__registry_begin(family->registry, &plan, *vacancy, &child->entry);
	if (status == 0) {
		status = run(child);
		if (status < 0)
			crew__registry_cancel(family->registry, child->entry);
	}
	if (status < 0) {
		free(child);
		return status;
	}
	child->output.origin.pid = child->pid;
	*vacancy = NULL;
	crew__generation_ref(generation);
	crew__list_push(&family->children, &child->node);
	crew__registry_note(family->registry, child->entry, child->pid, CREW__STARTING);
	set_deadline(child, CREW__START_DEADLINE_MS);
	*ret_child = child;
	return 0;
}

int crew__child_resume(struct crew__family *family, struct crew__generation *generation,
	const struct crew__child_memory *memory, struct crew__child **ret_child)
{
	struct crew__child *child = calloc(1, sizeof(*child));
	if (!child)
		return -ENOMEM;
	*child = (struct crew__child){
		.family = family,
		.generation = generation,
		.entry = memory->entry,
		.service = memory->service,
		.id = memory->id,
		.pid = memory->pid,
		.state = memory->state,
		.expected = memory->expected,
		.was_ready = memory->was_ready,
		.began_ns = memory->began_ns,
		.wire = { .fn = on_wire, .fd = memory->wire_fd },
		.deadline = { .fn = on_deadline },
		.deadline_ns = memory->deadline_ns,
		.memory_judged = true,
		.memory_counts = true,
		.tls_fd = -1,
	};
	int status = crew__loop_add(family->loop, &child->wire, CREW__READ);
	if (status == 0 && child->deadline_ns != 0) {
		status = crew__timer_start(family->loop, &child->deadline, child->deadline_ns);
		if (status < 0)
			crew__loop_remove(family->loop, &child->wire);
	}
	if (status < 0) {
		free(child);
		return status;
	}
	init_output(child);
	crew__output_restore(&child->output, memory->output);
	crew__generation_ref(generation);
	crew__list_push(&family->children, &child->node);
	*ret_child = child;
	return 0;
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
	listen_to(child, UINT32_MAX);
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
