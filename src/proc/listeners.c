/* listeners.c - opening what the services listen on. */
#include "proc/listeners.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With port 0 the kernel chooses; the other sockets of the service must then get the same. */
static void keep_chosen_port(struct crew__address *address, int fd)
{
	struct sockaddr_storage chosen;
	socklen_t size = sizeof(chosen);
	if (address->transport != CREW__TCP ||
		getsockname(fd, (struct sockaddr *)&chosen, &size) < 0)
		return;
	address->socket = chosen;
	address->socket_size = size;
}

static int open_service(struct crew__listener *listener,
	const struct crew__service_settings *settings, const char *run_dir, bool single,
	char *ret_error, size_t error_size)
{
	if (!settings->listen)
		return 0;
	struct crew__address *address = &listener->address;
	int status = crew__address_parse(settings->listen, run_dir, address, ret_error, error_size);
	if (status < 0)
		return status;
	address->unsent_limit = (uint32_t)settings->kernel_unsent_limit;
	bool each = settings->reuse_port && !single && address->transport == CREW__TCP;
	size_t count = each ? (size_t)settings->workers : 1;
	listener->fds = calloc(count, sizeof(int));
	if (!listener->fds)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int fd = crew__address_listen(address, each, ret_error, error_size);
		if (fd < 0)
			return fd;
		listener->fds[listener->count++] = fd;
		keep_chosen_port(address, fd);
	}
	return 0;
}

static void close_service(struct crew__listener *listener)
{
	for (unsigned n = 0; n < listener->count; n++) {
		crew__address_unlink(&listener->address, listener->fds[n]);
		close(listener->fds[n]);
	}
	free(listener->fds);
	memset(listener, 0, sizeof(*listener));
}

static int open_or_explain(struct crew__listener *listener,
	const struct crew__service_settings *settings, const char *run_dir, bool single,
	char *ret_error, size_t error_size)
{
	char why[512] = "no memory";
	int status = open_service(listener, settings, run_dir, single, why, sizeof(why));
	if (status < 0)
		snprintf(ret_error, error_size, "service %s cannot listen on %s: %s",
			settings->service->name, settings->listen, why);
	return status;
}

int crew__listeners_open(struct crew__listeners *listeners, const struct crew__settings *settings,
	bool single, char *ret_error, size_t error_size)
{
	memset(listeners, 0, sizeof(*listeners));
	listeners->services = settings->services;
	for (unsigned i = 0; i < settings->services; i++) {
		int status = open_or_explain(&listeners->service[i], &settings->service[i],
			settings->run_dir, single, ret_error, error_size);
		if (status < 0) {
			crew__listeners_close(listeners);
			return status;
		}
	}
	return 0;
}

void crew__listeners_close(struct crew__listeners *listeners)
{
	for (unsigned i = 0; i < listeners->services; i++)
		close_service(&listeners->service[i]);
	memset(listeners, 0, sizeof(*listeners));
}

int crew__listeners_add(struct crew__listeners *listeners, const struct crew__settings *settings,
	unsigned service, char *ret_error, size_t error_size)
{
	struct crew__listener *listener = &listeners->service[service];
	int status = open_or_explain(listener, &settings->service[service], settings->run_dir,
		false, ret_error, error_size);
	if (status < 0)
		close_service(listener);
	else
		listeners->services = service + 1;
	return status;
}

void crew__listeners_drop(struct crew__listeners *listeners, unsigned service)
{
	close_service(&listeners->service[service]);
	if (listeners->services == service + 1)
		listeners->services = service;
}

int crew__listeners_fd(const struct crew__listeners *listeners, unsigned service, unsigned id)
{
	const struct crew__listener *listener = &listeners->service[service];
	if (listener->count == 0)
		return -1;
	return listener->fds[id < listener->count ? id : 0];
}
