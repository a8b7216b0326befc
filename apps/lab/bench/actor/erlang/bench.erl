%% The rows of `pnpm bench actor` in Erlang/OTP: `erl -noinput` is not used, since orders come on standard input.
%%
%% One operating system process measures one row. Each line `run MS` on standard input is one round: work is done in
%% batches until the time is over, what was done is counted by those who did it, and one line of JSON goes to standard
%% output. The program ends with its standard input.
-module(bench).
-export([main/0]).

main() ->
    [Row, Variant | Numbers] = init:get_plain_arguments(),
    logger:set_primary_config(level, none),
    %% A process of its own: the one that reads orders has the mailbox of the I/O system.
    Runner = spawn_link(fun() -> runner(setup(list_to_atom(Row), list_to_atom(Variant), [list_to_integer(N) || N <- Numbers])) end),
    orders(Runner).

orders(Runner) ->
    case io:get_line("") of
        "run " ++ Ms ->
            Runner ! {run, self(), list_to_integer(string:trim(Ms))},
            receive {Runner, Json} -> io:put_chars([Json, $\n]) end,
            orders(Runner);
        eof ->
            halt(0)
    end.

runner(Round) ->
    receive
        {run, From, Ms} ->
            From ! {self(), Round(Ms)},
            runner(Round)
    end.

%% ---- mailbox: sources send to one sink

%% A source may have `Credit` messages under way; the last of them asks the sink for more. `infinity`: no credit.
setup(mailbox, Variant, [Sources, Batch, Bound]) ->
    Credit = case Variant of credit -> Bound div Sources; free -> infinity end,
    Sink = spawn_link(fun() -> sink(0) end),
    Pids = [spawn_link(fun() -> source(Sink, Credit) end) || _ <- lists:seq(1, Sources)],
    Share = Batch div Sources,
    rate(fun() ->
                 [Pid ! {send, Share, self()} || Pid <- Pids],
                 [receive {sent, Pid} -> ok end || Pid <- Pids],
                 Share * Sources
         end,
         fun() -> count(Sink) end);

%% ---- ping-pong: a round trip is two messages

setup(pingpong, plain, [Batch]) ->
    Runner = self(),
    A = spawn_link(fun() -> player(Runner, 0) end),
    B = spawn_link(fun() -> player(Runner, 0) end),
    rate(fun() ->
                 A ! {ball, B, 2 * Batch - 1},
                 receive over -> Batch end
         end,
         fun() -> (count(A) + count(B)) div 2 end);
setup(pingpong, gen_server, [Batch]) ->
    {ok, A} = bench_server:start_link(),
    {ok, B} = bench_server:start_link(),
    rate(fun() ->
                 gen_server:cast(A, {ball, self(), B, 2 * Batch - 1}),
                 receive over -> Batch end
         end,
         fun() -> (gen_server:call(A, count) + gen_server:call(B, count)) div 2 end);

%% ---- ring: one token

setup(ring, plain, [Size, Batch]) ->
    Runner = self(),
    [First | _] = Nodes = [spawn_link(fun() -> receive {next, Next} -> link(Runner, Next, 0) end end) || _ <- lists:seq(1, Size)],
    lists:foreach(fun({Node, Next}) -> Node ! {next, Next} end, lists:zip(Nodes, tl(Nodes) ++ [First])),
    rate(fun() ->
                 First ! {token, Batch - 1},
                 receive over -> Batch end
         end,
         fun() -> lists:sum([count(Node) || Node <- Nodes]) end);

%% ---- ask: one question at a time, five seconds to answer (the default of gen_server:call)

setup(ask, plain, [Batch]) ->
    {ok, Server} = bench_server:start_link(),
    rate(fun() ->
                 Before = gen_server:call(Server, count),
                 asks(Server, Before, Before + Batch),
                 Batch
         end,
         fun() -> gen_server:call(Server, count) end);

%% ---- spawn: started, init acknowledged, stopped, one after the other

setup(spawn, Variant, [Batch]) ->
    {ok, Supervisor} = bench_sup:start_link(dynamic),
    Done = counters:new(1, []),
    One = case Variant of
              named -> fun() -> spawn_named(Supervisor) end;
              supervised -> fun() -> spawn_supervised(Supervisor) end;
              alone -> fun() -> {ok, Pid} = bench_server:start_link(), ok = gen_server:stop(Pid) end
          end,
    rate(fun() ->
                 repeat(Batch, fun() -> One(), counters:add(Done, 1, 1) end),
                 [{specs, 1}, {active, 0}, {supervisors, 0}, {workers, 0}] = supervisor:count_children(Supervisor),
                 Batch
         end,
         fun() -> counters:get(Done, 1) end);

%% ---- idle memory: each has answered one call and is watched by a monitor

setup(memory, plain, [Count]) ->
    fun(_Ms) ->
            {ok, Supervisor} = bench_sup:start_link(dynamic),
            Watcher = spawn_link(fun() -> watcher() end),
            Before = used(),
            repeat(Count, fun() ->
                                  {ok, Pid} = supervisor:start_child(Supervisor, []),
                                  0 = gen_server:call(Pid, ask),
                                  Watcher ! {watch, Pid, self()},
                                  receive watching -> ok end
                          end),
            After = used(),
            {active, Count} = lists:keyfind(active, 1, supervisor:count_children(Supervisor)),
            unlink(Watcher), exit(Watcher, kill),
            stop(Supervisor),
            io_lib:format("{\"bytes\":~.3f,\"actors\":~b}", [(After - Before) / Count, Count])
    end;

%% ---- restart: from the message that crashes to the next answer of the name

setup(restart, plain, [Crashes]) ->
    latencies(fun() ->
                      {ok, Supervisor} = bench_sup:start_link({restarting, Crashes}),
                      Times = [crash_one() || _ <- lists:seq(1, Crashes)],
                      stop(Supervisor),
                      Times
              end);

%% ---- one_for_all: from the message that crashes one to the answer of every new incarnation

setup(oneforall, plain, [Members, Crashes]) ->
    Names = bench_sup:members(Members),
    latencies(fun() ->
                      {ok, Supervisor} = bench_sup:start_link({one_for_all, Members, Crashes}),
                      Times = [crash_all(Names) || _ <- lists:seq(1, Crashes)],
                      stop(Supervisor),
                      Times
              end).

%% ---- the plain processes

sink(N) ->
    receive
        {item, _, none} -> sink(N + 1);
        {item, _, From} -> From ! more, sink(N + 1);
        {count, From} -> From ! {count, self(), N}, sink(N)
    end.

source(Sink, Credit) ->
    receive
        {send, Count, From} ->
            send(Sink, Count, Credit),
            From ! {sent, self()},
            source(Sink, Credit)
    end.

send(_, 0, _) -> ok;
send(Sink, Left, Credit) ->
    Now = min(Left, Credit), % a number is less than an atom
    burst(Sink, Now),
    receive more -> send(Sink, Left - Now, Credit) end.

burst(Sink, 1) -> Sink ! {item, 1, self()};
burst(Sink, N) -> Sink ! {item, N, none}, burst(Sink, N - 1).

player(Runner, N) ->
    receive
        {ball, _, 0} -> Runner ! over, player(Runner, N + 1);
        {ball, From, Left} -> From ! {ball, self(), Left - 1}, player(Runner, N + 1);
        {count, From} -> From ! {count, self(), N}, player(Runner, N)
    end.

link(Runner, Next, N) ->
    receive
        {token, 0} -> Runner ! over, link(Runner, Next, N + 1);
        {token, Left} -> Next ! {token, Left - 1}, link(Runner, Next, N + 1);
        {count, From} -> From ! {count, self(), N}, link(Runner, Next, N)
    end.

watcher() ->
    receive
        {watch, Pid, From} -> monitor(process, Pid), From ! watching, watcher()
    end.

count(Pid) ->
    Pid ! {count, self()},
    receive {count, Pid, N} -> N end.

%% ---- what the runner does

asks(_, Last, Last) -> ok;
asks(Server, N, Last) ->
    N = gen_server:call(Server, ask),
    asks(Server, N + 1, Last).

spawn_supervised(Supervisor) ->
    {ok, Pid} = supervisor:start_child(Supervisor, []),
    ok = supervisor:terminate_child(Supervisor, Pid).

spawn_named(Supervisor) ->
    {ok, Pid} = supervisor:start_child(Supervisor, [spawned]),
    Monitor = monitor(process, Pid),
    ok = supervisor:terminate_child(Supervisor, Pid),
    receive {'DOWN', Monitor, process, Pid, shutdown} -> ok end.

crash_one() ->
    Old = whereis(crashing),
    From = erlang:monotonic_time(nanosecond),
    gen_server:cast(crashing, crash),
    answered(crashing, Old),
    erlang:monotonic_time(nanosecond) - From.

%% The last is started last: once it answers, so do the others.
crash_all(Names) ->
    Olds = [{Name, whereis(Name)} || Name <- Names],
    From = erlang:monotonic_time(nanosecond),
    gen_server:cast(hd(Names), crash),
    lists:foreach(fun({Name, Old}) -> answered(Name, Old) end, lists:reverse(Olds)),
    erlang:monotonic_time(nanosecond) - From.

%% Asks until another than the old incarnation has answered, letting others go first whenever there was none.
answered(Name, Old) ->
    case catch gen_server:call(Name, who) of
        Pid when is_pid(Pid), Pid =/= Old -> ok;
        _ -> erlang:yield(), answered(Name, Old)
    end.

stop(Supervisor) ->
    unlink(Supervisor),
    Monitor = monitor(process, Supervisor),
    exit(Supervisor, shutdown),
    receive {'DOWN', Monitor, process, Supervisor, _} -> ok end.

used() ->
    [erlang:garbage_collect(Pid) || Pid <- erlang:processes()],
    erlang:memory(total).

repeat(0, _) -> ok;
repeat(N, Do) -> Do(), repeat(N - 1, Do).

%% ---- rounds

%% `Batch` does its work and says how much; `Counted` is how much was done in all, said by those who did it.
rate(Batch, Counted) ->
    fun(Ms) ->
            Before = Counted(),
            From = erlang:monotonic_time(nanosecond),
            Work = until(Batch, From + Ms * 1000000, 0),
            Nanos = erlang:monotonic_time(nanosecond) - From,
            Work = Counted() - Before,
            io_lib:format("{\"work\":~b,\"seconds\":~.9f}", [Work, Nanos / 1.0e9])
    end.

until(Batch, End, Work0) ->
    Work = Work0 + Batch(),
    case erlang:monotonic_time(nanosecond) < End of
        true -> until(Batch, End, Work);
        false -> Work
    end.

latencies(Batch) ->
    fun(Ms) ->
            End = erlang:monotonic_time(nanosecond) + Ms * 1000000,
            Sorted = lists:sort(collect(Batch, End, [])),
            Count = length(Sorted),
            At = fun(Share) -> lists:nth(max(1, ceil(Share * Count)), Sorted) / 1.0e3 end,
            io_lib:format("{\"p50\":~.3f,\"p99\":~.3f,\"samples\":~b}", [At(0.5), At(0.99), Count])
    end.

collect(Batch, End, Times0) ->
    Times = Batch() ++ Times0,
    case erlang:monotonic_time(nanosecond) < End of
        true -> collect(Batch, End, Times);
        false -> Times
    end.
