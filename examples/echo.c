/* echo.c - sends back what came, over every protocol and transport that crew brings along.
 *
 *   build/examples/echo start
 *   printf 'hello\n' | nc -q1 127.0.0.1 7002
 *
 * One callback serves all five services: the protocol of each has taken the frame off before
 * on_message, and puts one around whatever crew_send is given. */
#include <crew/crew.h>

static void echo(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

int main(int argc, char **argv)
{
	static const crew_service tcp = {
		.name = "tcp",
		.listen = "tcp://127.0.0.1:7001",
		.on_message = echo,
	};
	static const crew_service text = {
		.name = "text",
		.listen = "text://127.0.0.1:7002",
		.on_message = echo,
	};
	static const crew_service frame = {
		.name = "frame",
		.listen = "frame://127.0.0.1:7003",
		.on_message = echo,
	};
	static const crew_service ws = {
		.name = "ws",
		.listen = "ws://127.0.0.1:7004",
		.on_message = echo,
	};
	static const crew_service local = {
		.name = "unix",
		.listen = "unix://RUNDIR/echo.sock", /* RUNDIR: the run directory */
		.on_message = echo,
	};
	static const crew_app app = {
		.name = "echo",
		.services = { &tcp, &text, &frame, &ws, &local },
	};
	return crew_main(argc, argv, &app);
}
