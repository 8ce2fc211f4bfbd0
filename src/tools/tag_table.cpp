#include "tools/internal/tag_table.h"

namespace lora::tools::internal {
namespace {

constexpr std::string_view kTraits =
    "ahoge,huge ahoge,bald,bob cut,hime cut,pixie cut,bowl cut,undercut,mohawk,afro,dreadlocks,"
    "cornrows,mullet,pompadour,topknot,updo,half updo,chignon,hair bun,single hair bun,double bun,"
    "cone hair bun,braided bun,hair rings,hair intakes,hair flaps,antenna hair,drill hair,"
    "twin drills,quad drills,single drill,sidelocks,long sidelocks,curtained hair,flipped hair,"
    "spiked hair,hair slicked back,hair over shoulder,hair over one eye,hair between eyes,"
    "hair over eyes,one side up,two side up,half up half down,widow's peak,low-tied long hair,"
    "low-tied sidelocks,hair bell,asymmetrical hair,snake hair,tentacle hair,crystal hair,"
    "floor-length hair,bangs,braid,twintails,ponytail,tri tails,quad tails,pigtails,cowlick,"
    "receding hairline,heterochromia,slit pupils,symbol-shaped pupils,star-shaped pupils,"
    "cross-shaped pupils,diamond-shaped pupils,flower-shaped pupils,horizontal pupils,no pupils,"
    "ringed eyes,multicolored eyes,third eye,extra eyes,one-eyed,cyclops,sanpaku,solid eyes,"
    "compound eyes,"
    "breasts,flat chest,animal ears,animal ear fluff,tail,horns,wings,pointy ears,long pointy ears,"
    "short pointy ears,floppy ears,lop rabbit ears,extra ears,multiple tails,two tails,nine tails,"
    "fang,fangs,skin fang,fins,head fins,head wings,low wings,mini wings,multiple horns,"
    "single horn,horn,antlers,antennae,antenna,gills,tusks,snout,hooves,talons,"
    "dark skin,very dark skin,pale skin,colored skin,multicolored skin,dark-skinned female,"
    "dark-skinned male,tan,tanlines,mole,mole under eye,mole under mouth,mole on breast,"
    "mole on cheek,mole on neck,freckles,scar,scar across eye,scar on face,scar on cheek,"
    "scar on nose,scar on arm,scar on chest,facial mark,forehead mark,whisker markings,tattoo,"
    "facial tattoo,arm tattoo,back tattoo,chest tattoo,leg tattoo,shoulder tattoo,neck tattoo,"
    "abs,muscular,muscular female,muscular male,toned,curvy,plump,fat,skinny,slim,petite,"
    "thick thighs,wide hips,narrow waist,broad shoulders,tall,tall female,extra arms,multiple arms,"
    "beard,facial hair,mustache,stubble,goatee,sideburns,chest hair,body hair,arm hair,leg hair,"
    "armpit hair,pubic hair,thick eyebrows,short eyebrows,forked eyebrows,huge eyebrows,"
    "dark areolae,large areolae,large ass,huge ass,big belly,body markings,body freckles";

constexpr std::string_view kClothing =
    "clothes,school uniform,serafuku,gakuran,sailor dress,sailor collar,sailor shirt,maid,"
    "maid headdress,maid apron,playboy bunny,miko,nun,habit,nurse,nurse cap,cheerleader,waitress,"
    "idol clothes,hair ornament,hairband,hairclip,hairpin,hair ribbon,hair bow,"
    "hair flower,hair scrunchie,scrunchie,hair tubes,hair bobbles,hair tie,hair stick,hair beads,"
    "hairpods,eyepatch,medical eyepatch,eye mask,blindfold,glasses,sunglasses,"
    "monocle,goggles,goggles on head,eyewear on head,head wreath,headphones,"
    "headphones around neck,headset,earphones,earmuffs,earrings,ear piercing,piercing,"
    "navel piercing,nipple piercing,tongue piercing,lip piercing,nose piercing,ear ornament,"
    "ear bow,ear ribbon,ear covers,tail ornament,tail ribbon,tail bow,tail bell,horn ornament,"
    "horn ribbon,horn bow,fake animal ears,fake tail,fake horns,fake wings,animal ear headphones,"
    "animal hood,breast pocket,breast curtain,breast curtains,breastplate,pocket,lapels,"
    "long sleeves,short sleeves,sleeveless,strapless,off shoulder,off-shoulder,single bare "
    "shoulder,"
    "clothing cutout,cleavage cutout,navel cutout,back cutout,side cutout,shoulder cutout,"
    "underboob cutout,sleeves past wrists,sleeves past fingers,sleeves rolled up,sleeve cuffs,"
    "wrist cuffs,cuffs,ankle cuffs,frills,lace,lace trim,lace-up,fur trim,gold trim,zipper,buttons,"
    "double-breasted,unbuttoned,unbuttoned shirt,partially unbuttoned,unzipped,side slit,"
    "center opening,hood up,hood down,hood,hooded jacket,criss-cross halter,halterneck,"
    "spaghetti strap,turtleneck,sleeveless turtleneck,crop top,tank top,tube top,bikini top only,"
    "bikini top,bikini bottom,front-tie top,halter top,camisole,corset,bustier,overalls,suspenders,"
    "loose socks,over-kneehighs,pantyhose,fishnets,bandeau,underbust,sarashi,"
    "chest sarashi,budget sarashi,loincloth,fundoshi,haori,hakama,obi,obiage,obijime,tabi,geta,"
    "okobo,zouri,furisode,kimono,yukata,hanfu,cheongsam,china dress,sari,dirndl,ao dai,"
    "lolita fashion,gothic lolita,sweet lolita,wa lolita,pajamas,nightgown,negligee,babydoll,"
    "bathrobe,naked towel,naked shirt,naked apron,naked hoodie,wedding dress,bridal veil,"
    "bridal gauntlets,tuxedo,tailcoat,suit,business suit,formal clothes,track suit,tracksuit,"
    "buruma,leotard,thong leotard,tutu,bodystocking,bodysuit,plugsuit,spacesuit,dougi,swimsuit,"
    "one-piece swimsuit,school swimsuit,bikini,side-tie bikini bottom,side-tie panties,thong,"
    "g-string,crotchless,underwear only,underwear,lingerie,pelvic curtain,armor,pauldrons,"
    "shoulder armor,vambraces,greaves,gauntlets,faulds,chainmail,cloak,capelet,cape,poncho,shawl,"
    "sash,belt,belt buckle,pouch,belt pouch,thigh strap,thigh pouch,garter straps,garter belt,"
    "leg garter,bridal garter,legwear under shorts,knee pads,elbow pads,jewelry,gold jewelry,"
    "necklace,pendant,bracelet,bangle,anklet,ring,wedding ring,brooch,watch,wristwatch,wristband,"
    "armband,armlet,arm warmers,leg warmers,ankle strap,gem necklace,ascot,neckerchief,necktie,"
    "bowtie,neck ribbon,neck bell,bell collar,jingle bell,detached collar,detached sleeves,"
    "bridal sleeves,epaulettes,aiguillette,tassel earrings,cowbell,crown,mini crown,tiara,diadem,"
    "circlet,laurel crown,veil,hat,top hat,mini hat,mini top hat,witch hat,santa hat,straw hat,"
    "sun hat,beret,beanie,fedora,bonnet,mob cap,garrison cap,peaked cap,tricorne,tokin hat,"
    "deerstalker,visor,visor cap,sun visor,bandana,hachimaki,turban,tam o' shanter,swim cap,"
    "shower cap,mask,mouth mask,gas mask,fox mask,mask on head,shoes,boots,sneakers,loafers,"
    "mary janes,high heels,pumps,sandals,slippers,flip-flops,uwabaki,toeless legwear,"
    "stirrup legwear,ice skates,roller skates,floral print,"
    "animal print,leopard print,argyle,pinstripe pattern,print legwear,bun cover,shell bikini,"
    "chef hat,sweatband,lace gloves,gym uniform,bow,ribbon,"
    "life vest,swim trunks,trench coat,see-through,dog tags,lab coat,labcoat";

constexpr std::string_view kCount =
    "solo,multiple girls,multiple boys,multiple others,everyone,crowd,no humans,group,duo,trio,"
    "couple,hetero,yuri,yaoi,ambiguous gender,androgynous,male focus,female focus,twins,siblings,"
    "sisters,brothers,solo focus,girl,boy,woman,man,people,person";

constexpr std::string_view kAction =
    "standing,sitting,lying,holding,arms up,kneeling,squatting,walking,running,jumping,flying,"
    "floating,falling,swimming,wading,dancing,singing,sleeping,eating,drinking,cooking,reading,"
    "writing,drawing,painting (action),smoking,fighting,aiming,shooting,riding,driving,leaning,"
    "leaning forward,leaning back,stretching,bathing,showering,undressing,dressing,hug,"
    "hug from behind,kiss,cheek kiss,holding hands,interlocked fingers,hand on hip,hands on hips,"
    "hand on own hip,hands on own hips,arms behind back,arms behind head,crossed arms,crossed legs,"
    "outstretched arm,outstretched arms,spread arms,arm up,hand up,hands up,leg up,legs up,"
    "feet up,on back,on stomach,on side,all fours,seiza,wariza,indian style,v,double v,peace sign,"
    "w,thumbs up,pointing,pointing at viewer,pointing up,waving,salute,praying,clenched hand,"
    "clenched hands,fist,raised fist,open hand,open hands,finger to mouth,shushing,thinking,"
    "head tilt,head rest,bent over,arched back,standing on one leg,fighting stance,straddling,"
    "princess carry,carrying,piggyback,petting,headpat,own hands together,steepled fingers,"
    "reaching out,reaching,reaching towards viewer,tiptoes,spread legs,knees together feet apart,"
    "knees up,one knee up,legs together,hugging own legs,hugging object,fetal position,bowing,"
    "curtsey,shrugging,selfie,playing instrument,playing piano,playing guitar,dual wielding,"
    "covering mouth,covering own mouth,covering own eyes,covering face,covering breasts,"
    "covering crotch,skirt lift,shirt lift,dress lift,clothes lift,skirt hold,dress hold,"
    "clothes pull,skirt tug,mask pull,bow hold,tying hair,brushing hair,"
    "tucking hair,hair pull,hair flip,hair tucking,breast hold,breast press,breast grab,"
    "breasts apart,ass grab,hand in pocket,hands in pockets,hand to own mouth,food in mouth,"
    "toast in mouth,mouth hold,hair tie in mouth,paw pose,claw pose,cat pose,ojou-sama pose,"
    "contrapposto,heart hands,finger heart,gun kata,casting spell,skateboarding,skating,"
    "ice skating,horseback riding,fishing,gardening,shopping,studying,working,cleaning,sweeping,"
    "blowing,yawning,laughing,giggling,whispering,shouting,screaming,sneezing,against wall,"
    "against glass,on bed,on chair,on floor,on lap,on couch,on ground,upside-down,wind lift,"
    "presenting,battle,handshake,high five,arms out,reclining,lap pillow,sitting on desk,"
    "sitting on lap,sitting on person,sitting on stairs";

constexpr std::string_view kView =
    "looking at viewer,looking back,looking away,looking down,looking up,looking to the side,"
    "looking ahead,looking afar,looking at another,looking over eyewear,sideways glance,eye "
    "contact,"
    "facing viewer,facing away,facing another,from above,from below,from behind,from side,"
    "from outside,profile,pov,pov hands,pov crotch,straight-on,dutch angle,fisheye,foreshortening,"
    "perspective,vanishing point,wide shot,very wide shot,panorama,isometric,left,right,front view,"
    "back view,side view,three quarter view,turned head";

constexpr std::string_view kExpression =
    "smile,light smile,smirk,grin,evil smile,evil grin,crazy smile,sad smile,seductive smile,"
    "naughty face,open mouth,closed mouth,parted lips,tongue,tongue out,:d,:p,:q,:o,:3,:t,:<,:>,:/,"
    ":|,xd,;d,;),;p,;q,^_^,>_<,@_@,+_+,=_=,o_o,0_0,t_t,u_u,x_x,|_|,._.,3_3,6_9,>_o,"
    ">o<,>:),>:(,d:,c:,\\m/,tsurime,tareme,jitome,blush,light blush,full-face blush,nose blush,"
    "ear blush,blush stickers,embarrassed,flustered,shy,happy,sad,angry,annoyed,serious,surprised,"
    "shocked,scared,confused,nervous,worried,bored,tired,sleepy,drunk,disgust,disdain,smug,doyagao,"
    "pout,frown,grimace,expressionless,crying,tears,teardrop,streaming tears,tearing up,"
    "crying with eyes open,wiping tears,happy tears,sweatdrop,flying sweatdrops,nervous sweating,"
    "closed eyes,eyes closed,one eye closed,half-closed eyes,half-closed eye,narrowed eyes,"
    "squinting,wide-eyed,empty eyes,rolling eyes,cross-eyed,crazy eyes,sparkling eyes,"
    "glowing eyes,constricted pupils,dilated pupils,heart-shaped pupils,blank eyes,"
    "clenched teeth,teeth,upper teeth only,lower teeth only,sharp teeth,fang out,wavy mouth,"
    "triangle mouth,chestnut mouth,dot mouth,torogao,ahegao,fucked silly,yandere,kubrick stare,"
    "shaded face,v-shaped eyebrows,raised eyebrow,raised eyebrows,furrowed brow,biting own lip,"
    "licking lips,puffy cheeks,puff of air,anger vein,spoken heart,trembling,lonely,envy,despair,"
    "determined,gloom (expression),excited,grumpy,moaning,scowl,wince,dizzy";

constexpr std::string_view kBackground =
    "indoors,outdoors,day,night,evening,morning,dawn,dusk,sunset,sunrise,twilight,snow,snowing,"
    "rain,"
    "fog,cloud,cloudy sky,cumulonimbus cloud,sky,starry sky,star (sky),shooting star,milky way,"
    "moon,full moon,crescent moon,red moon,sun,sunlight,sunbeam,light "
    "rays,moonlight,rainbow,aurora,"
    "lightning,storm,horizon,ocean,sea,waves,beach,sand,shore,island,lake,river,waterfall,stream,"
    "pond,pool,poolside,underwater,coral,coral reef,cave,cliff,mountain,mountainous horizon,hill,"
    "volcano,desert,oasis,forest,bamboo forest,jungle,tree,palm tree,pine tree,bare tree,leaf,"
    "autumn leaves,autumn,spring (season),summer,winter,grass,field,flower field,wheat field,"
    "meadow,garden,park,bush,plant,potted plant,vines,ivy,cherry blossoms,petals,falling petals,"
    "rose petals,city,cityscape,city "
    "lights,skyscraper,building,skyline,street,road,alley,crosswalk,"
    "sidewalk,bridge,rooftop,roof,balcony,fence,chain-link fence,railing,wall,brick wall,stone "
    "wall,"
    "window,windowsill,door,doorway,sliding doors,shouji,fusuma,gate,torii,shrine,temple,church,"
    "castle,palace,tower,lighthouse,ruins,rubble,graveyard,tombstone,house,room,bedroom,bathroom,"
    "kitchen,living room,classroom,library,hallway,office,hospital,infirmary,gym,gymnasium,stadium,"
    "stage,concert,theater,cafe,restaurant,bar (place),shop,convenience store,market,marketplace,"
    "supermarket,train station,train interior,car interior,bus interior,cockpit,prison,dungeon,"
    "throne,throne room,bath,bathtub,onsen,hot spring,locker room,elevator,stairs,staircase,pillar,"
    "column,arch,fountain,bench,chair,armchair,couch,sofa,stool,bed,bed sheet,pillow,blanket,"
    "curtains,canopy bed,table,desk,school desk,chalkboard,bookshelf,shelf,cabinet,drawer,lamp,"
    "lantern,paper lantern,chandelier,candle,fireplace,carpet,rug,tatami,tiles,tile floor,tile "
    "wall,"
    "wooden floor,wooden wall,floor,mirror,clock,television,refrigerator,sink,lamppost,"
    "streetlight,utility pole,power lines,traffic light,road sign,vending machine,phone booth,"
    "telephone pole,billboard,neon lights,spotlight,stage lights,space,planet,earth "
    "(planet),galaxy,"
    "nebula,stars,spacecraft interior,battlefield,festival,fireworks,food stand,christmas tree,"
    "cemetery,farm,barn,windmill,harbor,pier,dock,village,town,boxing ring,ice rink,tennis court,"
    "basketball court,scenery,landscape,nature,still life,blurry background,simple background,"
    "gradient background,transparent background,photo background,no background,patterned "
    "background";

constexpr std::string_view kPicture =
    "full body,upper body,lower body,cowboy shot,portrait,close-up,close up,bust,head,headshot,"
    "face,face focus,foot focus,hand focus,eye focus,breast focus,ass focus,hip focus,back focus,"
    "leg focus,armpit focus,navel focus,thigh focus,animal focus,vehicle focus,weapon focus,"
    "out of frame,head out of frame,feet out of frame,cropped,cropped torso,"
    "cropped legs,cropped shoulders,multiple views,reference sheet,character sheet,turnaround,"
    "concept art,"
    "chibi,chibi inset,sticker,comic,4koma,1koma,2koma,3koma,cover,cover page,magazine cover,"
    "manga cover,poster (medium),album cover,screencap,parody,sketch,lineart,monochrome,greyscale,"
    "sepia,spot color,limited palette,traditional media,watercolor (medium),painting (medium),"
    "photo (medium),3d,realistic,photorealistic,pixel art,oekaki,game cg,wallpaper,letterboxed,"
    "border,white border,black border,framed,collage,split screen,before and after,"
    "absurdres,highres,lowres,jpeg artifacts,blurry,depth of field,bokeh,chromatic aberration,"
    "film grain,lens flare,motion blur,speed lines,halftone,hatching (texture),flat color,"
    "high contrast,white outline,outline,silhouette,anime coloring,retro artstyle,1990s (style),"
    "signature,artist name,twitter username,watermark,dated,web address,copyright name,"
    "character name,logo,text focus,english text,chinese text,japanese text,korean text,"
    "translation request,speech bubble,thought bubble,title,subtitled,bar censor,mosaic censoring,"
    "convenient censoring,censored,uncensored,masterpiece,best quality,instagram username,"
    "pixiv username,patreon username,artist logo,sample watermark,weibo username";

// Tags whose words look like traits or clothing and that are neither, and common things.
constexpr std::string_view kOther =
    "zettai ryouiki,office lady,eyelashes,long eyelashes,colored "
    "eyelashes,eyeshadow,eyeliner,makeup,lipstick,mascara,"
    "nail polish,fingernails,toenails,toenail polish,lips,bags under eyes,eyeball,"
    "eyes visible through hair,eyebrows visible through hair,eyebrows hidden by hair,"
    "hair behind ear,hair over breasts,hair spread out,hair hanging,floating hair,wet hair,"
    "hair blowing,hair down,hair up,expressive hair,glowing hair,alternate hairstyle,"
    "alternate hair color,alternate hair length,alternate eye color,alternate costume,"
    "official alternate costume,alternate breast size,hairdressing,hairbrush,hair brush,hair dryer,"
    "hair iron,haircut,shared hair,flower in hair,leaf in hair,petals in hair,object in hair,"
    "food on hair,body blush,bare shoulders,bare arms,bare legs,bare back,collarbone,cleavage,"
    "sideboob,underboob,midriff,navel,armpits,thighs,thigh gap,legs,feet,barefoot,toes,soles,ass,"
    "back,shoulder blades,backboob,groin,stomach,ribs,neck,nape,ears,nose,knees,kneepits,nipples,"
    "areola slip,cameltoe,nude,completely nude,topless,bottomless,no bra,no panties,no shoes,"
    "no pants,no legwear,wet,sweat,saliva,blood,blood on face,injury,bruise,bandages,bandaid,"
    "bandaid on face,bandaged arm,dirty,dirty "
    "face,steam,smoke,fire,water,ice,magic,glowing,sparkle,"
    "bubble,air bubble,wind,shadow,reflection,heart,star (symbol),musical note,question mark,"
    "exclamation point,halo,sword,katana,rapier,knife,dagger,gun,rifle,handgun,axe,spear,polearm,"
    "lance,staff,wand,bow (weapon),bow (instrument),bow (music),arrow (projectile),quiver,shield,"
    "scythe,hammer,whip,weapon,sheath,scabbard,holster,sword behind back,book,pen,pencil,paper,"
    "phone,smartphone,cellphone,camera,computer,laptop,monitor,keyboard (computer),"
    "keyboard (instrument),microphone,guitar,bass guitar,violin,piano,grand piano,drum,drum set,"
    "flute,umbrella,parasol,fan,hand fan,bag,handbag,shoulder bag,backpack,school bag,randoseru,"
    "suitcase,basket,box,gift,gift box,bottle,cup,mug,teacup,teapot,glass,drinking glass,"
    "wine glass,wine glasses,hourglass,plate,bowl,spoon,fork,chopsticks,tray,food,bread,cake,"
    "cookie,candy,chocolate,ice cream,fruit,apple,strawberry,orange (fruit),onigiri,rice,noodles,"
    "burger,pizza,tea,coffee,alcohol,beer,wine,sake,cat,dog,bird,rabbit,fox,wolf,bear,horse,fish,"
    "butterfly,dragon,snake,mouse,cow,sheep,seagull,teddy bear,stuffed toy,plush toy,doll,robot,"
    "mecha,android,car,motorcycle,bicycle,ship,boat,airplane,train,flower,rose,sunflower,lily,"
    "hydrangea,bouquet,feather,shell,bone,skull,crystal,gem,coin,key,chain,rope,cross,flag,ball,"
    "baseball bat,tennis racket,tennis ball,broom,towel,towel around neck,towel on head,pocket "
    "watch,"
    "stopwatch,earth,seatbelt,seat belt,conveyor belt,asteroid belt,bottle cap,mushroom cap,"
    "car hood,smoke ring,key ring,compound bow,cross bow,plaid,striped,polka dot,forehead,"
    "elf,demon,demon girl,angel,vampire,witch,fairy,mermaid,ghost,zombie,monster girl,slime girl,"
    "cat girl,fox girl,dog girl,wolf girl,horse girl,oni,kitsune,ninja,samurai,knight,princess,"
    "queen,king,prince,pirate,bride,student,teacher,police,policewoman,soldier,idol,magical girl,"
    "virtual youtuber,gyaru,tomboy,loli,shota,child,aged down,aged up,mature female,milf,cosplay,"
    "genderswap,height difference,age difference,size difference,cyberpunk,science fiction,fantasy,"
    "steampunk,western,horror (theme),halloween,christmas,new year,valentine,birthday,wedding,"
    "original,vocaloid,hatsune miku,touhou,hakurei reimu,kirisame marisa,animal,unworn hat,"
    "unworn shoes,skirt around ankles,panties around one leg,clothes on floor,blue theme,red theme,"
    "collar tug,mask removed,hat removed,glasses removed,headwear removed,tail raised,"
    "tail wagging,tail around own leg,multicolored theme,button "
    "gap,contrail,bucket,cushion,cigarette";

constexpr TagList kTable[] = {
    {TagClass::kTraits, kTraits},
    {TagClass::kClothing, kClothing},
    {TagClass::kCount, kCount},
    {TagClass::kAction, kAction},
    {TagClass::kView, kView},
    {TagClass::kExpression, kExpression},
    {TagClass::kBackground, kBackground},
    {TagClass::kPicture, kPicture},
    {TagClass::kOther, kOther},
};

}  // namespace

std::span<const TagList> tag_table() { return kTable; }

std::string_view colours() {
    return "aqua,black,blonde,blue,brown,green,grey,gray,orange,pink,purple,red,white,yellow,"
           "silver,"
           "gold,golden,amber,cyan,teal,turquoise,violet,lavender,magenta,crimson,maroon,navy,"
           "platinum,light,dark,pale,bright,two-tone,multicolored,gradient,rainbow,colored,beige,"
           "ginger,auburn,copper,lilac,mint,peach,strawberry,hazel,emerald,ruby,bicolored";
}

std::string_view hair_words() {
    return "long,short,medium,very,absurdly,extremely,wavy,curly,straight,messy,spiked,spiky,shiny,"
           "big,streaked,split-color,inner,liquid,thick,fluffy,layered,shaggy,choppy,frizzy,"
           "feathered,"
           "shoulder-length,waist-length,knee-length,floor-length,asymmetrical,tied,braided,ombre,"
           "color,tipped,blond,brunette";
}

std::string_view breast_words() {
    return "flat,small,medium,large,huge,gigantic,big,massive,tiny,perky,sagging,uneven,veiny,wide";
}

std::string_view animals() {
    return "animal,cat,dog,fox,wolf,rabbit,bunny,mouse,rat,bear,horse,cow,goat,sheep,deer,tiger,"
           "lion,leopard,raccoon,squirrel,panda,koala,bat,bird,dragon,demon,angel,fairy,butterfly,"
           "insect,lizard,snake,shark,fish,monkey,pig,elf,robot,mechanical,feathered,ice,energy,"
           "oni,"
           "curled,broken,multiple,large,small,single,short,long,spiked,fluffy,scorpion,"
           "crocodilian,"
           "peacock,mermaid,hyena,jackal,ferret,otter,dinosaur,unicorn,pointed,detached,ermine,"
           "weasel";
}

std::string_view hair_styles() {
    return "ponytail,ponytails,twintails,twintail,pigtails,bangs,braid,braids,sidelocks,ahoge,"
           "dreadlocks,drills,sideburns,buns";
}

std::string_view garments() {
    return "clothes,clothing,dress,sundress,gown,skirt,miniskirt,microskirt,shirt,t-shirt,blouse,"
           "sweater,cardigan,hoodie,jacket,coat,overcoat,raincoat,parka,vest,waistcoat,blazer,"
           "uniform,serafuku,kimono,yukata,robe,robes,cloak,cape,capelet,poncho,apron,bodysuit,"
           "jumpsuit,leotard,swimsuit,bikini,lingerie,underwear,bra,panties,briefs,boxers,"
           "shorts,pants,jeans,trousers,sweatpants,leggings,pantyhose,tights,thighhighs,kneehighs,"
           "socks,stockings,legwear,footwear,shoes,boots,sneakers,loafers,heels,sandals,slippers,"
           "gloves,mittens,gauntlets,scarf,necktie,bowtie,neckerchief,neckwear,ascot,collar,choker,"
           "necklace,earrings,bracelet,bracelets,brooch,pendant,jewelry,piercing,hat,cap,beret,"
           "beanie,"
           "helmet,headwear,headdress,headband,headgear,hairband,hairclip,hairpin,hood,tiara,crown,"
           "veil,mask,glasses,sunglasses,eyewear,goggles,eyepatch,armor,breastplate,pauldrons,"
           "sleeves,cuffs,frills,trim,ribbon,bow,sash,obi,belt,buckle,wristband,armband,corset,"
           "costume,outfit,suit,tuxedo,tailcoat,hakama,haori,pajamas,nightgown,scrunchie,ornament,"
           "cutout,buruma,tabard,surcoat,shawl,kneepads,headphones,"
           "camisole,wristwatch,visor,tutu,stole";
}

std::string_view garment_guards() {
    return "no,without,removing,removed,unworn,under,on,in,from,between,with,another's,own,over,"
           "adjusting,holding,lifting,lifted,pulling,grabbing,biting,tugging,fixing,putting,taking,"
           "tying,sharing,hand,hands,around,behind,through,touching,hugging,washing,drying,folding,"
           "looking,pointing,against,playing,wearing,imminent,missing,object,floating,burning,head,"
           "a,the,and,covered,giving,incoming,broken";
}

}  // namespace lora::tools::internal
