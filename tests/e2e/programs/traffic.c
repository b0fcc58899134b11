/* traffic.c - what is reloaded and replaced again and again while everybody talks to it.
 *
 *   web   HTTP: "Hello, World!" to whatever is asked; how often is the counter `web_answers`
 *   calm  the same, for clients who count each answer
 *   stay  WebSockets that move to the new workers; they get back what they say
 *   room  WebSockets that are told 1012; likewise
 *
 * `/variant` of web and calm answers with the number of this program: 1, of traffic2 it is 2. */
#include <crew/crew.h>
#include <crew/http.h>

#ifndef VARIANT
#define VARIANT "1"
#endif

enum {
	WEB_ANSWERS
};

static void answer(crew_conn *c, const crew_request *request)
{
	bool hello = request->target.len == 1;
	crew_reply(c, &(crew_response){
			      .body = hello ? CREW_BYTES("Hello, World!") : CREW_BYTES(VARIANT) });
}

static void answer_counted(crew_conn *c, const crew_request *request)
{
	crew_count(crew_worker_of(c), WEB_ANSWERS, 1);
	answer(c, request);
}

static void echo(crew_conn *c, crew_msg msg)
{
	crew_send_with(c, msg.body, &(crew_send_options){ .kind = msg.kind });
}

int main(int argc, char **argv)
{
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:1",
		.on_request = answer_counted,
	};
	static const crew_service calm = {
		.name = "calm",
		.listen = "http://127.0.0.1:2",
		.on_request = answer,
	};
	static const crew_service stay = {
		.name = "stay",
		.listen = "ws://127.0.0.1:3",
		.handover = true,
		.on_message = echo,
	};
	static const crew_service room = {
		.name = "room",
		.listen = "ws://127.0.0.1:4",
		.on_message = echo,
	};
	return crew_main(argc, argv,
		&(crew_app){
			.name = "traffic",
			.services = { &web, &calm, &stay, &room },
			.counters = { { "web_answers", "requests", "that web answered" } },
		});
}
