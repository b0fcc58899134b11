/* listeners.c - opening what the services listen on. */
#include "proc/listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* `count` sockets at one address. The first may choose a port: the others get the same. */
static int open_place(struct crew__listening *place, unsigned count, bool each, char *ret_error,
	size_t error_size)
{
	place->fds = calloc(count, sizeof(int));
	if (!place->fds)
		return -ENOMEM;
	while (place->count < count) {
		int fd = crew__address_listen(&place->address, each, ret_error, error_size);
		if (fd < 0)
			return fd;
		place->fds[place->count++] = fd;
	}
	return 0;
}

static int make_places(struct crew__listener *listener,
	const struct crew__service_settings *settings, const char *run_dir, char *ret_error,
	size_t error_size)
{
	struct crew__address *addresses = calloc(CREW__ADDRESSES_MAX, sizeof(*addresses));
	size_t count = 0;
	if (!addresses)
		return -ENOMEM;
	int status = crew__addresses_parse(
		settings->listen, run_dir, addresses, &count, ret_error, error_size);
	if (status == 0)
		listener->places = calloc(count, sizeof(*listener->places));
	if (status == 0 && !listener->places)
		status = -ENOMEM;
	for (size_t i = 0; status == 0 && i < count; i++) {
		listener->places[i].address = addresses[i];
		listener->places[i].address.unsent_limit = (uint32_t)settings->kernel_unsent_limit;
		listener->count++;
	}
	free(addresses);
	return status;
}

static int open_service(struct crew__listener *listener,
	const struct crew__service_settings *settings, const char *run_dir, bool single,
	char *ret_error, size_t error_size)
{
	bool own = settings->reuse_port && !single;
	if (!settings->listen)
		return 0;
	int status = make_places(listener, settings, run_dir, ret_error, error_size);
	for (unsigned i = 0; status == 0 && i < listener->count; i++) {
		struct crew__listening *place = &listener->places[i];
		/* Of a group each of several sockets would get every datagram. */
		bool each = own && place->address.transport != CREW__UNIX &&
			    !crew__address_is_group(&place->address);
		unsigned count = each ? (unsigned)settings->workers : 1;
		status = open_place(place, count, each, ret_error, error_size);
		if (count > 1)
			listener->each = count;
	}
	if (status == 0)
		crew__addresses_text(&listener->places[0].address, sizeof(listener->places[0]),
			listener->count, listener->text, sizeof(listener->text));
	return status;
}

static void close_place(struct crew__listening *place)
{
	for (unsigned n = 0; n < place->count; n++) {
		crew__address_unlink(&place->address, place->fds[n]);
		close(place->fds[n]);
	}
	free(place->fds);
}

static void close_service(struct crew__listener *listener)
{
	for (unsigned i = 0; i < listener->count; i++)
		close_place(&listener->places[i]);
	free(listener->places);
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

unsigned crew__listeners_fds(const struct crew__listeners *listeners, unsigned service, unsigned id,
	bool own, int ret_fds[CREW__ADDRESSES_MAX])
{
	const struct crew__listener *listener = &listeners->service[service];
	unsigned count = 0;
	for (unsigned i = 0; i < listener->count; i++) {
		const struct crew__listening *place = &listener->places[i];
		if (own && place->count < 2)
			continue;
		ret_fds[count++] = place->fds[id < place->count ? id : 0];
	}
	return count;
}
