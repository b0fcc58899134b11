/* greeting.c - believing a master, and unpacking what it sent. */
#include "proc/greeting.h"

#include "base/clock.h"
#include "proc/log_file.h"
#include "proc/role.h"
#include "proc/title.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	NO_WORKER = -1,
	MASTER_GONE = -2,
	GREETING_WAIT_S = 10,
	SETTINGS_MOST = 16 << 20
};

static bool is_socket_of(int fd, pid_t master)
{
	int domain, type;
	struct ucred peer;
	socklen_t size = sizeof(int), peer_size = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX)
		return false;
	size = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
		return false;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0 &&
	       peer.pid == master;
}

int crew__greeting_socket(void)
{
	int fd;
	pid_t master;
	if (!crew__role_take(CREW__WORKER_VARIABLE, &fd, &master) || !is_socket_of(fd, master))
		return NO_WORKER;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || getppid() != master) {
		close(fd);
		return MASTER_GONE;
	}
	return fd;
}

void crew__greeting_init(struct crew__greeting *greeting)
{
	*greeting = (struct crew__greeting){
		.segment = { .fd = -1 },
		.directory = { .fd = -1 },
		.log_fd = -1,
		.tls_fd = -1,
	};
}

void crew__greeting_fini(struct crew__greeting *greeting)
{
	crew__settings_use(NULL);
	crew__settings_free(greeting->settings);
	crew__segment_fini(&greeting->segment);
	crew__directory_fini(&greeting->directory);
	if (greeting->log_fd >= 0) {
		crew__log_open(STDERR_FILENO, CREW_INFO, "worker");
		close(greeting->log_fd);
	}
	for (unsigned i = 0; i < greeting->listen_count; i++)
		close(greeting->listen_fds[i]);
	if (greeting->tls_fd >= 0)
		close(greeting->tls_fd);
	explicit_bzero(&greeting->hello.secret, sizeof(greeting->hello.secret));
	crew__greeting_init(greeting);
}

void crew__greeting_use_log(const struct crew__greeting *greeting)
{
	struct crew__log_plan plan = crew__log_plan_of(greeting->settings, greeting->log_fd);
	plan.origin.service = greeting->hello.service;
	plan.origin.worker = greeting->hello.id;
	plan.origin.pid = getpid();
	crew__log_use(&plan);
}

/* The text of a sealed memfd, which other workers read through the same open file: pread. */
static char *read_settings(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_size < 0 || st.st_size > SETTINGS_MOST)
		return NULL;
	size_t size = (size_t)st.st_size;
	char *text = malloc(size + 1);
	ssize_t length = text ? pread(fd, text, size, 0) : -1;
	if (length < 0 || (size_t)length != size) {
		free(text);
		return NULL;
	}
	text[size] = '\0';
	return text;
}

static int take_settings(struct crew__greeting *greeting, int fd, const crew_app *app,
	char *ret_error, size_t error_size)
{
	char *text = read_settings(fd);
	if (!text) {
		snprintf(ret_error, error_size, "the master's settings cannot be read");
		return -EPROTO;
	}
	int status = crew__settings_parse(app, text, &greeting->settings, ret_error, error_size);
	free(text);
	if (status < 0)
		return status;
	crew__settings_use(greeting->settings);
	for (unsigned i = 0; i < greeting->settings->services; i++)
		if (strcmp(greeting->settings->service[i].service->name, greeting->hello.service) ==
			0)
			greeting->service = &greeting->settings->service[i];
	if (greeting->service)
		return 0;
	snprintf(ret_error, error_size,
		"the program has no service %s any more, which a reload cannot change: use restart",
		greeting->hello.service);
	return -EINVAL;
}

/* A counter's place in the slab is its place in crew_app.counters, and the master, which may be of
 * an older program, has named the places. */
static bool counters_match(const struct crew__segment *segment, const crew_app *app)
{
	const struct crew__segment_header *header = segment->header;
	const struct crew__counter_entry *entries =
		(const struct crew__counter_entry *)(const void *)((const char *)header +
								   header->counters_offset);
	unsigned seen = 0;
	for (uint32_t i = 0; i < header->counters; i++) {
		if (!entries[i].app)
			continue;
		if (seen >= CREW_MAX_COUNTERS || !app->counters[seen].name ||
			strncmp(entries[i].name, app->counters[seen].name, CREW__NAME_MAX) != 0)
			return false;
		seen++;
	}
	return seen == CREW_MAX_COUNTERS || !app->counters[seen].name;
}

static int take_segment(struct crew__greeting *greeting, int fd, const crew_app *app,
	char *ret_error, size_t error_size)
{
	int status = crew__segment_open(fd, true, &greeting->segment);
	if (status == 0)
		status = crew__segment_stats(&greeting->segment, &greeting->stats);
	if (status == 0 && !counters_match(&greeting->segment, app))
		status = -EPROTO;
	if (status == -EPROTO)
		snprintf(ret_error, error_size,
			"the running master counts other things than this program, which a reload cannot "
			"change: use restart");
	else if (status < 0)
		snprintf(ret_error, error_size, "the memory for the counters cannot be mapped: %s",
			strerror(-status));
	return status;
}

enum {
	FD_SETTINGS,
	FD_SEGMENT,
	FD_LOG,
	FD_DIRECTORY,
	FD_LISTENERS
};

static int unpack(struct crew__greeting *greeting, struct crew__message *message,
	const crew_app *app, char *ret_error, size_t error_size)
{
	const struct crew__hello *hello = &greeting->hello;
	memcpy(&greeting->hello, message->payload, sizeof(greeting->hello));
	greeting->hello.service[sizeof(greeting->hello.service) - 1] = '\0';
	if (hello->index >= CREW__LIVES_MAX || hello->listeners > CREW__ADDRESSES_MAX ||
		hello->tls > 1 ||
		message->fd_count != FD_LISTENERS + hello->listeners + hello->tls) {
		snprintf(ret_error, error_size, "the master's greeting makes no sense");
		return -EPROTO;
	}
	for (unsigned i = 0; i < hello->listeners; i++)
		greeting->listen_fds[greeting->listen_count++] = crew__message_take_fd(
			message, FD_LISTENERS + i);
	greeting->log_fd = crew__message_take_fd(message, FD_LOG);
	if (hello->tls)
		greeting->tls_fd = crew__message_take_fd(message, FD_LISTENERS + hello->listeners);
	int status = take_settings(greeting, message->fds[FD_SETTINGS], app, ret_error, error_size);
	if (status < 0)
		return status;
	crew__title_set("%s: worker %s#%u", greeting->settings->name, hello->service, hello->id);
	crew__greeting_use_log(greeting);
	status = take_segment(
		greeting, crew__message_take_fd(message, FD_SEGMENT), app, ret_error, error_size);
	if (status < 0)
		return status;
	status = crew__directory_open(
		crew__message_take_fd(message, FD_DIRECTORY), &greeting->directory);
	if (status < 0)
		snprintf(ret_error, error_size, "the master's directory cannot be mapped: %s",
			strerror(-status));
	return status;
}

int crew__greeting_take(struct crew__greeting *greeting, int wire_fd, const crew_app *app,
	char *ret_error, size_t error_size)
{
	static struct crew__message message; /* large; once in a process */
	uint64_t deadline = crew__clock_ns() + GREETING_WAIT_S * CREW__NS_PER_S;
	int got = crew__wire_await(wire_fd, &message, deadline);
	if (got != 1) {
		snprintf(ret_error, error_size, "no greeting came from the master: %s",
			got == 0 ? "it is gone" : strerror(-got));
		return got == 0 ? -ECONNRESET : got;
	}
	int status = -EPROTO;
	if (message.type == CREW__MSG_HELLO && message.length == sizeof(greeting->hello))
		status = unpack(greeting, &message, app, ret_error, error_size);
	else
		snprintf(ret_error, error_size,
			"the running master is of another version of crew: use restart");
	crew__message_release(&message);
	return status;
}
