"""What the callers of the turn-taking set say. `|` is where somebody pauses and then goes on.

Plain data. Which half a text belongs to is decided by its first fragment (recipe.py), so sentences that begin
alike are never apart.
"""

# A pause inside a clause that is not over.
CLAUSE = """
I would like to | book a table for four people on Friday evening.
I'm calling about the | invoice you sent me last week.
My problem is that the | heating has not worked since Sunday.
Could you tell me when the | next train to Hamburg leaves?
I need to change the | delivery address of my parcel.
The last time I spoke to | one of your colleagues, he promised a refund.
We were hoping to | move the appointment to next Tuesday.
Is there any way to | cancel the second order?
I think my card was | blocked after I used it abroad.
There's a noise coming from the | washing machine I bought in May.
Can I speak to the | person who handles the claims?
It says on the letter that I | have to pay by the end of the month.
I want to know whether my | prescription is ready.
What I really need is | somebody to look at the boiler.
The reference on the | bottom of the page is hard to read.
I tried to log in with the | password you gave me, and it fails.
Our office is on the | third floor next to the lift.
My daughter has a | fever since yesterday evening.
The technician was supposed to | come between eight and ten.
Do you know if the | branch in the city centre is open today?
I have been waiting for | three weeks for an answer.
Please send the contract to | my new email address.
She told me to | call again in the afternoon.
The amount on my statement is | not what we agreed on.
Would it be possible to | pay in two instalments?
I lost my | purse on the bus this morning.
He was going to | repair the window on Monday.
You can reach me at | my office until five.
Somebody from your team should | have called me back by now.
The router keeps | restarting every few minutes.
I'd rather have the | smaller room with a view of the garden.
They delivered the | wrong colour for the second time.
We moved to a | new flat at the beginning of the year.
When does the | swimming pool close on weekends?
Please put me through to | the accounting department.
It started with a | strange message on the screen.
The doctor asked me to | make an appointment for a blood test.
There should be | two suitcases under my name.
Who do I talk to about | the noise from the building site?
Last month I was charged | twice for the same ticket.
The flight we booked was | moved to the next morning.
My husband would also | need a parking space.
Can you check whether the | transfer has arrived?
Her surname is | spelled with a double s.
Everything worked until | you installed the update.
Are you able to | see my file on your computer?
The meter shows | far more than it did last year.
In the meantime I have | bought another one.
For the birthday party we | need a cake for twenty people.
Your website doesn't | let me enter a foreign phone number.
After the accident the | car was towed to your garage.
This is already the | fourth time I have called.
Nobody told me that the | warranty had run out.
The key to the | cellar is missing.
How much would it | cost to send it by express?
I was told the | surgery opens at half past seven.
Where exactly do I | have to sign the form?
The new tenant will | move in on the first of March.
If possible I want a | seat by the window.
Between you and me the | service used to be better.
Let me see if I | can find the letter.
Both of my | sons go to the same school.
The bill for the | repair was twice the estimate.
Make sure the | driver rings the bell twice.
One of the | tyres loses air.
Every morning the | water is cold until nine.
"""

# A pause after a word that joins.
CONJUNCTION = """
I ordered two chairs, and | a table for the garden.
The screen went black and | then it started again.
I'd take the early one, but | only if it is direct.
We could meet on Thursday, or | on Friday after lunch.
I cannot come because | my car is at the garage.
The parcel was open, so | I refused to take it.
She is not at home, although | she said she would be.
I will sign it if | you send me the new version.
He called you twice, but | nobody answered.
I paid in cash and | I still have the receipt.
You said ten o'clock, and | now it is almost noon.
They fixed the roof, so | that is not the reason.
It was fine at first, then | it began to smell of gas.
We like the hotel because | it is close to the beach.
Send it to my neighbour, or | leave it at the shop.
I have no account with you, but | my wife has one.
My passport expires in June, so | I need a new one soon.
He can wait until Monday, while | I would rather not.
The light is green and | the box makes no sound.
I did restart it, and | it helped for a day.
You may keep the deposit if | that makes it quicker.
Take it from my savings, or | from the other account.
The room was clean, but | the shower did not work.
We have two children, and | a dog.
I know the way because | I have been there before.
The price went up, although | nothing has changed.
"""

# A pause behind a hesitation.
FILLER = """
I'd like to order, um | a large pizza with mushrooms.
It was last, uh | Wednesday in the evening.
My name is, um | Robert Miller.
The thing is, uh | I never received the code.
We arrived at, um | about a quarter past six.
There are, uh | five of us altogether.
Could I get, um | an earlier appointment?
That would be, uh | the house with the red door.
He works for, um | a small company in Leeds.
I paid, uh | forty pounds for it.
It happened, um | somewhere near the station.
The colour is, uh | dark blue I believe.
Maybe you could, um | send me the manual.
She lives in, uh | the flat above mine.
You asked for, um | the date of the invoice.
Before that, uh | we had a different supplier.
Well, um | the first one was better.
So, uh | what are my options?
Actually, um | I have another question.
Right, so, uh | the contract began in April.
"""

# The voice trails off, and then goes on after all.
TRAIL_OFF_HOLD = """
I'm not really sure | perhaps next week would be better.
Well, I was thinking | we might cancel the whole order.
It's just that | nobody explained it to me.
Hmm, let me think | I believe it was in August.
I don't know how to say this | but your driver was rude.
That could be | no, it was the other one.
Let me have a look | here it is, under the table.
Hold on a second | I have it on the fridge.
What was it again | yes, the blue ticket.
I wonder | is there a cheaper one?
Give me a moment | I need my glasses.
If I remember correctly | it was around two hundred.
"""

# It trails off, and that was all.
TRAIL_OFF_END = """
Well, I don't know, maybe.
I was just wondering, that's all.
It was something like that, I suppose.
Hmm, I'm not so sure about that.
Oh well, never mind then.
I guess it could be either.
Perhaps the other one, I think.
So, yeah, that's about it.
Could be, I can't remember.
Anyway, it's not that important.
"""

COMPLETE = """
I'd like to speak to an agent, please.
What time do you close today?
My order has not arrived yet.
Please cancel my subscription.
The internet is down again.
I want to report a lost card.
Can you repeat that, please?
How do I reset my password?
I have a question about my bill.
There is water on the kitchen floor.
When will it be delivered?
I need a new appointment.
It doesn't work anymore.
Thank you, that was all I wanted to know.
I agree with the price.
Where is the nearest branch?
I changed my mind about the colour.
My name is Anna Schmidt.
We are a party of six.
Please call me back tomorrow.
I already paid that invoice.
The lift is stuck on the second floor.
Do you have it in a bigger size?
I would prefer the morning.
That is not what I ordered.
You have the wrong address.
I'm calling on behalf of my mother.
Could I have a receipt?
The door won't open.
How long does it take?
I forgot my customer number.
Is breakfast included?
He is not here at the moment.
I want my money back.
Which documents do I need?
Tell me about the smaller plan.
The picture is upside down.
It has to be here by Friday.
Someone is blocking my garage.
We will take the train instead.
"""

SHORT_ANSWER = """
Yes.
No.
No, thanks.
Yes, please.
That's right.
Correct.
Sure.
Of course.
Not yet.
Exactly.
No, thank you.
Yeah.
Nope.
Yes, it is.
No, it isn't.
I do.
Never.
Tomorrow.
On Monday.
The first one.
In the morning.
Two, please.
Both.
Neither.
Not at all.
Absolutely.
By card.
At noon.
Maybe later.
Good, thanks.
"""

# What the agent says while it is interrupted, or thought to be.
AGENT = """
Your appointment is on Thursday the fifth at a quarter past nine in our main office.
I have found three parcels under this number, and the first of them left our warehouse this morning.
The repair will take about two days, and you will get a message as soon as your device is ready.
Before we go on I would like to tell you about the fees that apply to transfers to other countries.
You can choose between the standard plan, which costs twelve pounds, and the family plan for twenty.
Our offices are open from Monday to Friday between eight in the morning and six in the evening.
To reset the router, please press the small button on the back for at least ten seconds.
There are still seats left on the early flight, but the afternoon one is fully booked.
"""

BACKCHANNEL = """
Mhm.
Uh huh.
Okay.
Right.
Yeah.
I see.
Sure.
Mm.
Good.
Aha.
Oh, okay.
Yes, yes.
Got it.
Alright.
Hmm.
Oh.
"""

INTERRUPTION = """
Stop, no, I mean the other one.
Wait, that is not right.
No, no, I said Tuesday.
Hold on, I have a question.
Excuse me, can I speak to a person?
Sorry, that's the wrong address.
Actually, I want to cancel it.
Just tell me the price.
I already know that.
Stop.
Wait a minute.
No, that's wrong.
Can you repeat that?
Hang on, let me get a pen.
Please stop talking.
I don't need that.
What about the second parcel?
That's too expensive.
Could you speak more slowly?
No.
Which button do you mean?
Not on Thursday.
But I never ordered that.
Let me interrupt you there.
How much was that again?
Listen, I am in a hurry.
I need to talk to somebody else.
Yes, I'll take the first one.
"""

# What other people in the room, or the television, say.
BACKGROUND = """
Have you seen where I put the scissors, they were on the shelf yesterday.
The weather tomorrow will be mostly dry with some clouds in the north.
Dinner is ready in ten minutes, please wash your hands.
And the home side wins the second set after almost an hour.
Turn left after the bridge and then follow the road to the village.
Did you remember to feed the cat before you left this morning?
The minister said that the talks would continue on Monday.
We should paint the other wall as well while we are at it.
He laughed and said he would never do it again.
Someone left the window open in the bathroom.
"""

ASKS_YES_NO = "Is that correct?"


def lines(block: str) -> list[str]:
    """The phrases of a block."""
    return [line.strip() for line in block.strip().splitlines() if line.strip()]
