/* child_birth.c - the start of a worker process, and going on with one in another image of the
 * master.
 */
#include "proc/child_parts.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
		hello.secret = crew__family_secret(family, child->service);
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
	child->wire = (struct crew__source){ .fn = crew__child_on_wire, .fd = pair[0] };
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
	child->deadline.fn = crew__child_on_deadline;
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
	crew__child_set_deadline(child, CREW__START_DEADLINE_MS);
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
		.wire = { .fn = crew__child_on_wire, .fd = memory->wire_fd },
		.deadline = { .fn = crew__child_on_deadline },
		.deadline_ns = memory->deadline_ns,
		.memory_judged = memory->memory_judged,
		.memory_counts = memory->memory_counts,
		.tls_fd = -1,
	};
	int status = memory->wire_fd < 0 ? 0
					 : crew__loop_add(family->loop, &child->wire, CREW__READ);
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
